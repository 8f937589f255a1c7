"""Comparison of a deployed policy with the template's."""

from typing import Any

import pytest

from cli.doctor.policy_form import differences

STATEMENT: dict[str, Any] = {
    "Sid": "Read",
    "Effect": "Allow",
    "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
    "Action": ["s3:GetObject", "s3:PutObject"],
    "Resource": "arn:aws:s3:::a/*",
    "Condition": {"Bool": {"aws:SecureTransport": "true"}, "ArnEquals": {"aws:PrincipalArn": ["r1", "r2"]}},
}


def compare(*deployed: dict[str, Any]) -> list[str]:
    return list(
        differences({"Statement": [STATEMENT]}, {"Version": "2008-10-17", "Id": "x", "Statement": list(deployed)})
    )


@pytest.mark.parametrize(
    "change",
    [
        {"Sid": "another"},
        {"Principal": {"AWS": "222222222222"}},
        {"Principal": {"AWS": ["222222222222"]}},
        {"Action": ["S3:PutObject", "s3:GetObject"]},
        {"Resource": ["arn:aws:s3:::a/*"]},
        {"Condition": {"ArnEquals": {"AWS:PrincipalArn": ["r2", "r1"]}, "Bool": {"aws:SecureTransport": [True]}}},
    ],
    ids=str,
)
def test_spelling_is_no_difference(change: dict[str, Any]) -> None:
    assert not compare(STATEMENT | change)
    assert not compare(STATEMENT | change, STATEMENT)
    assert not list(differences({"Statement": [STATEMENT]}, {"Statement": STATEMENT | change}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Effect", "Deny"),
        ("Principal", "*"),
        ("Principal", {"AWS": "arn:aws:iam::222222222222:role/a"}),
        ("Principal", {"Service": "222222222222"}),
        ("Action", ["s3:GetObject"]),
        ("Resource", "arn:aws:s3:::A/*"),
        ("Condition", {**STATEMENT["Condition"], "ArnEquals": {"aws:PrincipalArn": ["r1"]}}),
        ("Condition", {**STATEMENT["Condition"], "Bool": {"aws:SecureTransport": "false"}}),
    ],
    ids=str,
)
def test_other_meaning_is_one_difference(name: str, value: Any) -> None:
    (found,) = compare(STATEMENT | {name: value})
    assert found.startswith(f"statement Read has another {name}: ")


def test_missing_and_more_statements_are_named() -> None:
    (missing,) = compare()
    assert missing.startswith('statement Read is missing: {"Effect": "Allow"')
    more = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    (found,) = compare(STATEMENT, more)
    assert found.startswith("statement without Sid (Allow) is not in the template: ")
    assert len(compare(more)) == 2


def test_action_for_part_of_a_statement_is_a_difference() -> None:
    """A Deny that loses an element applies to other requests."""
    without = {key: value for key, value in STATEMENT.items() if key != "Condition"}
    assert compare(without) == ["statement Read has another Condition: {}"]
    assert compare({**without, "NotAction": "s3:a", "Condition": STATEMENT["Condition"]})
