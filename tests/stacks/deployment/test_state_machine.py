"""`[subscribers.state_machine]`: invalid files, and placeholders."""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.deployment import Deployment, parse
from stacks.deployment.state_machine import fill_placeholders, read_statements
from tests.stacks.deployment.samples import orders, problem

DEFINITION = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed", "Comment": "${EventBusName}"}}}
ALLOW = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}
WILDCARD = {**ALLOW, "Action": ["s3:GetObject", "s3:*"]}
NOT_ACTION = {"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*"}
NO_EFFECT = {**ALLOW, "Effect": "Permit"}
NOT_AN_ARN = {**ALLOW, "Resource": ["*", "my-table"]}
NO_ACTION = {**ALLOW, "Action": []}
OPERATOR = {**ALLOW, "Condition": {"StringEqual": {"aws:SourceVpc": "vpc-1"}}}
NO_OPERATOR = {**ALLOW, "Condition": {"aws:SourceVpc": "vpc-1"}}
LONG = {**ALLOW, "Resource": f"arn:aws:ssm:us-east-1:222222222222:parameter/{'x' * 100}"}
CHINA = {**ALLOW, "Resource": "arn:aws-cn:ssm:cn-north-1:222222222222:parameter/x"}


def lost(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "Go", "States": {"Go": state}}


@pytest.mark.parametrize(
    ("definition", "permissions", "expected"),
    [
        (None, [ALLOW], 'definition = "definition.json": does not exist. Paths are relative to the deployment file.'),
        ('{\n"StartAt": }', [ALLOW], "is not JSON: Expecting value in line 2, column 12."),
        ([], [ALLOW], "is not a state machine definition: StartAt must name one of States."),
        ({"StartAt": "Go", "States": {}}, [ALLOW], "is not a state machine definition"),
        ({**DEFINITION, "Comment": "${Bus}"}, [ALLOW], "the placeholder ${Bus} has no value. Use one of ${"),
        ({**DEFINITION, "Comment": "${LandingBucket}"}, [ALLOW], "has no value. Add [subscribers.landing]."),
        (lost({"Type": "Pass", "Next": "Gone"}), [ALLOW], 'names the state "Gone", which its States do not have. Add'),
        (lost({"Type": "Choice", "Choices": [{"Next": "Gone"}], "Default": "Go"}), [ALLOW], 'names the state "Gone"'),
        (lost({"Type": "Task", "Next": "Go", "Catch": [{"Next": "Gone"}]}), [ALLOW], 'names the state "Gone"'),
        (
            lost({"Type": "Map", "End": True, "ItemProcessor": {"StartAt": "Go", "States": {}}}),
            [ALLOW],
            'the state "Go"',
        ),
        (lost({"Type": "Parallel", "Branches": [{"StartAt": "X", "States": {}}]}), [ALLOW], 'names the state "X"'),
        (DEFINITION | {"Comment": "x" * 900_000}, [ALLOW], "Use at most 900,000: a template has at most 1 MB."),
        (DEFINITION, {}, 'permissions = "permissions.json": must be a list of IAM statements.'),
        (DEFINITION, [ALLOW, WILDCARD], 'statement 1: Action "s3:*" is not the name of one action. Wildcards are not'),
        (DEFINITION, [NOT_ACTION], "statement 0: must have Effect, Action and Resource"),
        (DEFINITION, [NO_EFFECT], 'statement 0: Effect is "Permit". It must be Allow or Deny.'),
        (DEFINITION, [NOT_AN_ARN], 'statement 0: Resource "my-table" is not an ARN, a placeholder or *.'),
        (DEFINITION, [NO_ACTION], "statement 0: Action is empty. Add a value, or remove the statement."),
        (DEFINITION, [OPERATOR], 'statement 0: Condition {"StringEqual": {"aws:SourceVpc": "vpc-1"}} is not a table'),
        (DEFINITION, [NO_OPERATOR], 'statement 0: Condition {"aws:SourceVpc": "vpc-1"} is not a table of IAM'),
        (DEFINITION, [LONG] * 40, "characters without white space. Use at most 6500: IAM limits a role's policies."),
        (DEFINITION, [CHINA], "arn:aws-cn:ssm:cn-north-1:222222222222:parameter/x: is not in the partition aws. Use"),
    ],
)
def test_invalid_file_is_reported(tmp_path: Path, definition: Any, permissions: Any, expected: str) -> None:
    for name, content in (("definition.json", definition), ("permissions.json", permissions)):
        if content is not None:
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    table = orders(state_machine={"definition": "definition.json", "permissions": "permissions.json"})
    assert expected in problem(table, tmp_path / "deployment.toml")


ROLE = "arn:aws:iam::222222222222:role/task"
PASSED = "allows more than one role. Give the role's complete ARN."
IDENTITIES = "an application may not change or assume identities. Only iam:PassRole and sts:AssumeRole are allowed."


@pytest.mark.parametrize(
    ("action", "resource", "reason"),
    [
        ("iam:PassRole", "*", PASSED),
        ("iam:PassRole", "arn:aws:iam::222222222222:role/*", PASSED),
        ("sts:AssumeRole", "*", PASSED),
        ("iam:PutRolePolicy", ROLE, IDENTITIES),
        ("iam:CreateUser", "*", IDENTITIES),
        ("sts:GetFederationToken", "*", IDENTITIES),
        (
            "iam:PassRole",
            "arn:aws:iam::222222222222:role/coatcheck-orders-reader",
            "role/coatcheck-orders-reader of the",
        ),
        ("sns:Publish", "*", "matches arn:aws:sns:us-east-1:111111111111:coatcheck-messages of the deployment."),
        ("s3:PutBucketPolicy", "*", "matches arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1 of the"),
        ("s3:GetObject", "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1/outbox/*", "coatcheck-payloads"),
        ("s3:GetObject", "arn:aws:s3:::coat*", "matches arn:aws:s3:::coatcheck-"),
        ("kms:PutKeyPolicy", "*", "matches arn:aws:kms:us-east-1:111111111111:key/0000"),
        ("kms:Decrypt", "arn:aws:kms:*:222222222222:key/*", "matches arn:aws:kms:"),
        ("events:PutRule", "arn:aws:events:us-east-1:111111111111:event-bus/coatcheck", "event-bus/coatcheck of the"),
        ("lambda:UpdateFunctionCode", "arn:aws:lambda:*:*:function:coatcheck-*", "function:coatcheck-"),
        ("s3:PutBucketPolicy", "${LandingBucketArn}", "changes a resource of the deployment. Remove the action."),
        ("lambda:UpdateFunctionCode", "${CopyFunctionArn}", "changes a resource of the deployment."),
        ("kms:CreateGrant", "${LandingKeyArn}", "changes a resource of the deployment."),
        ("states:UpdateStateMachine", "${StateMachineArn}", "changes a resource of the deployment."),
    ],
)
def test_excessive_permission_is_rejected(tmp_path: Path, action: str, resource: str, reason: str) -> None:
    statement = {"Effect": "Allow", "Action": [action], "Resource": [resource]}
    text = problem(with_permissions([statement], tmp_path), tmp_path / "deployment.toml")
    assert text.startswith('subscribers[0].state_machine.permissions = "')
    assert f"statement 0, {action} on {resource}: " in text
    assert reason in text


def with_permissions(permissions: Any, folder: Path) -> dict[str, Any]:
    (folder / "definition.json").write_text(json.dumps(DEFINITION))
    (folder / "permissions.json").write_text(json.dumps(permissions))
    files = {"definition": "definition.json", "permissions": "permissions.json"}
    return orders(state_machine=files, landing={})


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLE},
        {"Effect": "Allow", "Action": "textract:DetectDocumentText", "Resource": "*"},
        {"Effect": "Allow", "Action": ["s3:PutObject"], "Resource": ["${LandingBucketArn}/results/*"]},
        {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "arn:aws:dynamodb:*:222222222222:table/o"},
        {"Effect": "Deny", "Action": "iam:CreateUser", "Resource": "*"},
        {**ALLOW, "Condition": {"ForAnyValue:StringNotEqualsIgnoreCaseIfExists": {"aws:TagKeys": ["a"]}}},
        {**ALLOW, "Condition": {"NumericLessThanEquals": {"s3:max-keys": 5}, "Null": {"aws:TagKeys": False}}},
    ],
)
def test_permission_below_the_ceiling_is_accepted(tmp_path: Path, statement: dict[str, Any]) -> None:
    assert isinstance(parse(with_permissions([statement], tmp_path), tmp_path / "deployment.toml"), Deployment)


def test_definition_is_required() -> None:
    assert problem(orders(state_machine={})) == "subscribers[0].state_machine.definition: is missing. Add it."


def test_repeated_statement_ids_are_left_out(tmp_path: Path) -> None:
    """IAM rejects a policy with two equal ones, and the role's policy has statements of coatcheck too."""
    (tmp_path / "permissions.json").write_text(json.dumps([{**ALLOW, "Sid": "ReadPayloads"}] * 2))
    assert read_statements(str(tmp_path / "permissions.json")) == [ALLOW, ALLOW]


def test_placeholders_are_filled(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"Bus": "${EventBusName}", "Arn": "${EventBusArn}/${EventBusName}"}')
    text = fill_placeholders(str(tmp_path / "a.json"), {"EventBusName": "orders", "EventBusArn": "arn"})
    assert json.loads(text) == {"Bus": "orders", "Arn": "arn/orders"}
