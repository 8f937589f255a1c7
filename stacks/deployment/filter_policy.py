"""A subscriber's filter policy: SNS's JSON, checked against SNS's rules and quotas.

Quotas and operators: SNS developer guide, "Subscription filter policies" and "Filter policy constraints".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from typing_extensions import Doc

from stacks.deployment.types import as_toml

MAXIMUM_KEYS = 5
MAXIMUM_COMBINATIONS = 150
MAXIMUM_BYTES = 256 * 1024
LARGEST_NUMBER = 10**9

_TEXT_OPERATORS = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_LOWER, _UPPER = (">", ">="), ("<", "<=")


def _check_policy(value: object) -> str:
    """Return the policy as JSON. `value` is a table of the file, or JSON text."""
    try:
        policy = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}.") from None
    if not isinstance(policy, dict) or not policy:
        raise ValueError('must be a table with at least one key, such as { kind = ["scan"] }.')
    for problem in _problems(policy, ""):
        raise ValueError(problem)
    text = json.dumps(policy, separators=(",", ":"), ensure_ascii=False)
    if (size := len(text.encode())) > MAXIMUM_BYTES:
        raise ValueError(f"has {size} bytes as JSON. SNS allows {MAXIMUM_BYTES}.")
    if (keys := len(set(_leaves(policy, ())))) > MAXIMUM_KEYS:
        raise ValueError(f"has {keys} keys with conditions. SNS allows {MAXIMUM_KEYS}.")
    if (combinations := count_combinations(policy)) > MAXIMUM_COMBINATIONS:
        raise ValueError(
            f"has {combinations} combinations (list lengths multiplied, nested keys by their depth). SNS allows "
            f"{MAXIMUM_COMBINATIONS}."
        )
    return text


FilterPolicy = Annotated[
    str,
    BeforeValidator(_check_policy),
    WithJsonSchema({"type": ["object", "string"]}),
    Doc("table, or JSON in quotes"),
]
"""The policy as JSON, with its keys in the file's order."""


def is_nested(policy: str) -> bool:
    """Return whether a key's value is a table: a nested property of the body. Attributes are not nested."""
    return any(isinstance(value, dict) for _, value in _members(json.loads(policy)))


def count_combinations(policy: Mapping[str, Any], depth: int = 1) -> int:
    """Return the number of combinations as SNS counts them.

    For each key, the number of values is multiplied by the key's depth. The products are multiplied. Alternatives of
    `$or` are added.
    """
    total = 1
    for name, value in policy.items():
        if _is_or(name, value):
            total *= sum(count_combinations(alternative, depth) for alternative in value)
        elif isinstance(value, dict):
            total *= count_combinations(value, depth + 1)
        else:
            total *= len(value) * depth
    return total


def _is_or(name: str, value: object) -> bool:
    return name == "$or" and isinstance(value, list) and len(value) > 1 and all(isinstance(v, dict) for v in value)


def _members(policy: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield keys and values, including those of alternatives."""
    for name, value in policy.items():
        if _is_or(name, value):
            for alternative in value:
                yield from _members(alternative)
        else:
            yield name, value


def _leaves(policy: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, value in _members(policy):
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def _problems(policy: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, value in _members(policy):
        key = f"{path}{name}"
        if isinstance(value, dict):
            yield from _problems(value, f"{key}.") if value else [f"{key} is empty."]
        elif not isinstance(value, list) or not value:
            yield f"{key} = {as_toml(value)} must be a list of accepted values, such as [{json.dumps(str(value))}]."
        else:
            yield from (f"{key}: {problem}" for rule in value for problem in _rule_problems(rule))


def _rule_problems(rule: object) -> Iterator[str]:
    if isinstance(rule, dict):
        if len(rule) != 1:
            yield f"{as_toml(rule)} must have one operator."
        for operator, operand in rule.items():
            if not _is_operand(operator, operand):
                yield f"{as_toml({operator: operand})} is not an SNS filter operator with a valid operand."
    elif not _is_value(rule):
        yield f"{as_toml(rule)} must be text, a number up to {LARGEST_NUMBER:,}, true, false, or an operator."


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER


def _is_operand(operator: str, operand: Any) -> bool:
    if operator in _TEXT_OPERATORS:
        # SNS rejects consecutive wildcards.
        return isinstance(operand, str) and operand != "" and not (operator == "wildcard" and "**" in operand)
    match operator, operand:
        case "exists", bool():
            return True
        case "numeric", [sign, number] if sign in ("=", *_LOWER, *_UPPER):
            return _is_number(number)
        case "numeric", [lower, bottom, upper, top] if lower in _LOWER and upper in _UPPER:
            return _is_number(bottom) and _is_number(top) and bool(bottom < top)
        case "cidr", str():
            return _is_range(operand)
        case "anything-but", {**inner}:
            return len(inner) == 1 and all(
                name in _TEXT_OPERATORS and all(_is_operand(name, text) for text in _as_list(texts))
                for name, texts in inner.items()
            )
        case "anything-but", [*values]:
            return bool(values) and all(isinstance(value, str) or _is_number(value) for value in values)
        case "anything-but", str() | int() | float():
            return not isinstance(operand, bool)
    return False


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) and value else [value]


def _is_range(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
