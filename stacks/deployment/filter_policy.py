"""A subscriber's filter policy: SNS's own JSON, checked as far as it can be before SNS sees it.

Limits and operators: SNS developer guide, "Subscription filter policies" and "Filter policy constraints".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

MOST_KEYS = 5
MOST_COMBINATIONS = 150
MOST_BYTES = 256 * 1024
LARGEST_NUMBER = 10**9

_TEXT_OPERATORS = ("prefix", "suffix", "equals-ignore-case", "wildcard", "cidr")
_COMPARISONS = ("=", "<", "<=", ">", ">=")


def _canonical(value: object) -> str:
    """The policy as JSON, however it is spelt in the file: as a table, or as JSON's own text."""
    try:
        policy = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(policy, dict) or not policy:
        raise ValueError('must be a table of SNS\'s filter policy, such as { kind = ["scan"] }, with a key at least')
    for problem in _problems(policy, ""):
        raise ValueError(problem)
    text = json.dumps(policy, separators=(",", ":"), ensure_ascii=False)
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"has {len(text.encode())} bytes as JSON, and SNS takes {MOST_BYTES}")
    keys = len(set(_leaves(policy, ())))
    if keys > MOST_KEYS:
        raise ValueError(f"has {keys} keys with conditions, and SNS takes {MOST_KEYS}")
    if combinations(policy) > MOST_COMBINATIONS:
        raise ValueError(
            f"comes to {combinations(policy)} combinations (the lists' lengths multiplied, each also by how deep it "
            f"is), and SNS takes {MOST_COMBINATIONS}"
        )
    return text


FilterPolicy = Annotated[str, BeforeValidator(_canonical)]
"""JSON, whose members are in the file's order."""


def is_nested(policy: str) -> bool:
    """Whether a key's value is a table: a property of a property of the body. Attributes have none."""
    return any(isinstance(value, dict) for name, value in _members(json.loads(policy)))


def combinations(policy: Mapping[str, Any], depth: int = 1) -> int:
    """As SNS counts: the number of values of each key, times how deep it is, multiplied; of alternatives, added."""
    total = 1
    for name, value in policy.items():
        if _is_or(name, value):
            total *= sum(combinations(alternative, depth) for alternative in value)
        elif isinstance(value, dict):
            total *= combinations(value, depth + 1)
        else:
            total *= len(value) * depth
    return total


def _is_or(name: str, value: object) -> bool:
    return name == "$or" and isinstance(value, list) and len(value) > 1 and all(isinstance(v, dict) for v in value)


def _members(policy: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys and their values, those of alternatives too."""
    for name, value in policy.items():
        if _is_or(name, value):
            for alternative in value:
                yield from _members(alternative)
        else:
            yield name, value


def _leaves(policy: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, value in _members(policy):
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name)


def _problems(policy: Mapping[str, Any], above: str) -> Iterator[str]:
    for name, value in _members(policy):
        key = f"{above}{name}"
        if isinstance(value, dict):
            yield from _problems(value, f"{key}.") if value else [f"{key}: is empty"]
        elif not isinstance(value, list) or not value:
            yield f"{key} = {value!r}: must be a list of what it may be, such as [{json.dumps(str(value))}]"
        else:
            yield from (f"{key}: {problem}" for rule in value for problem in _of_rule(rule))


def _of_rule(rule: object) -> Iterator[str]:
    if isinstance(rule, dict):
        if len(rule) != 1:
            yield f"{rule}: must have one operator"
        for operator, operand in rule.items():
            if not _is_operand(operator, operand):
                yield f"{{{operator!r}: {operand!r}}}: is no condition that SNS knows"
    elif not _is_value(rule):
        yield f"{rule!r}: must be text, a number up to {LARGEST_NUMBER:,}, true, false, or a condition"


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _is_operand(operator: str, operand: Any) -> bool:
    if operator in _TEXT_OPERATORS:
        return isinstance(operand, str) and operand != ""
    match operator, operand:
        case "exists", bool():
            return True
        case "numeric", [*pairs] if pairs and len(pairs) % 2 == 0:
            return all(sign in _COMPARISONS for sign in pairs[::2]) and all(map(_is_number, pairs[1::2]))
        case "anything-but", {**inner}:
            return len(inner) == 1 and all(name in _TEXT_OPERATORS and bool(text) for name, text in inner.items())
        case "anything-but", [*values]:
            return bool(values) and all(isinstance(value, str) or _is_number(value) for value in values)
        case "anything-but", str() | int() | float():
            return not isinstance(operand, bool)
    return False
