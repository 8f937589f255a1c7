"""Filter policies: SNS's rules and quotas."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from stacks.deployment.filter_policy import FilterPolicy, count_combinations, is_nested

POLICY = TypeAdapter(FilterPolicy)


@pytest.mark.parametrize(
    "rules",
    [
        ["scan", "report", 5, -0.5, True, None],
        [{"prefix": "s"}, {"suffix": ".tiff"}, {"equals-ignore-case": "SCAN"}, {"cidr": "10.0.0.0/24"}],
        [{"anything-but": "scan"}, {"anything-but": ["scan", 5]}, {"anything-but": {"prefix": "s"}}],
        [{"wildcard": "*.tiff"}, {"anything-but": {"wildcard": "*.tiff"}}, {"cidr": "2001:db8::/32"}],
        [{"numeric": ["=", 5]}, {"numeric": [">", 0, "<=", 1e9]}],
        [{"exists": False}],
    ],
)
def test_filter_policy_accepts_every_sns_operator(rules: list[Any]) -> None:
    policy = {"kind": rules}
    assert json.loads(POLICY.validate_python(policy)) == policy
    assert POLICY.validate_python(json.dumps(policy)) == POLICY.validate_python(policy)


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ({"kind": [{"begins": "s"}]}, 'kind: { begins = "s" } is not an SNS filter operator'),
        ({"kind": [{"prefix": ""}]}, '{ prefix = "" }'),
        ({"kind": [{"prefix": "a", "suffix": "b"}]}, "must have one operator"),
        ({"kind": [{"exists": "yes"}]}, '{ exists = "yes" }'),
        ({"kind": [{"numeric": [">"]}]}, '{ numeric = [">"] }'),
        ({"kind": [{"numeric": ["=>", 1]}]}, '{ numeric = ["=>", 1] }'),
        ({"kind": [{"numeric": [">", 2_000_000_000]}]}, "is not an SNS filter operator with a valid operand"),
        ({"kind": [{"numeric": ["=", 5, ">", 3]}]}, '{ numeric = ["=", 5, ">", 3] }'),
        ({"kind": [{"numeric": ["<", 5, ">", 3]}]}, '{ numeric = ["<", 5, ">", 3] }'),
        ({"kind": [{"numeric": [">", 5, "<", 3]}]}, '{ numeric = [">", 5, "<", 3] }'),
        ({"kind": [{"numeric": [">", 1, "<", 3, "<", 4]}]}, "is not an SNS filter operator with a valid operand"),
        ({"kind": [{"cidr": "10.0.0.0"}]}, '{ cidr = "10.0.0.0" }'),
        ({"kind": [{"cidr": "10.0.0/33"}]}, '{ cidr = "10.0.0/33" }'),
        ({"kind": [{"wildcard": "a**b"}]}, '{ wildcard = "a**b" }'),
        ({"kind": [{"anything-but": {"prefix": 5}}]}, "{ anything-but = { prefix = 5 } }"),
        ({"kind": [{"anything-but": {"prefix": []}}]}, "{ anything-but = { prefix = [] } }"),
        ({"kind": [{"anything-but": {"cidr": "10.0.0.0/8"}}]}, "is not an SNS filter operator with a valid operand"),
        ({"kind": [{"anything-but": []}]}, "{ anything-but = [] }"),
        ({"kind": [{"anything-but": True}]}, "{ anything-but = true }"),
        ({"kind": [2_000_000_000]}, "must be text, a number up to 1,000,000,000"),
        ({"kind": [float("nan")]}, "must be text, a number"),
        ({"kind": [["scan"]]}, "must be text, a number"),
        ({"kind": []}, "kind = [] must be a list of accepted values"),
        ({"kind": {}}, "kind is empty"),
        ({"order": {"kind": "scan"}}, 'order.kind = "scan" must be a list of accepted values, such as ["scan"].'),
        ({"$or": [{"a": ["x"]}, {"b": "x"}]}, 'b = "x" must be a list'),
        ([], "must be a table"),
        ("[1]", "must be a table"),
        ({f"k{n}": ["x"] for n in range(6)}, "has 6 keys with conditions. SNS allows 5."),
        ({"a": ["x"] * 13, "b": ["x"] * 12}, "has 156 combinations"),
        ({"a": ["x" * 300_000]}, "has 300010 bytes as JSON. SNS allows 262144."),
    ],
)
def test_invalid_filter_policy_is_rejected(policy: Any, problem: str) -> None:
    with pytest.raises(ValidationError) as error:
        POLICY.validate_python(policy)
    assert problem in str(error.value)


def test_combinations_are_counted_as_by_sns() -> None:
    assert count_combinations({"a": ["x", "y", "z"], "b": ["x"], "c": ["x", "y"]}) == 3 * 1 * 2
    assert (
        count_combinations({"a": {"b": {"c": ["x", "y", "z"]}}, "d": {"e": ["x"]}, "f": ["x", "y"]})
        == 3 * 3 * 1 * 2 * 2
    )
    assert count_combinations({"a": ["x", "y"], "$or": [{"b": ["x", "y"]}, {"c": ["x"]}]}) == 2 * (2 + 1)


def test_alternatives_are_not_nested() -> None:
    assert not is_nested(POLICY.validate_python({"$or": [{"a": ["x"]}, {"b": ["x"]}]}))
    assert is_nested(POLICY.validate_python({"$or": [{"a": {"b": ["x"]}}, {"b": ["x"]}]}))
