"""`[subscribers.state_machine]`: invalid files, and placeholders."""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.deployment.state_machine import fill_placeholders
from tests.stacks.deployment.samples import orders, problem

DEFINITION = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed", "Comment": "${EventBusName}"}}}
ALLOW = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
WILDCARD = {**ALLOW, "Action": ["s3:GetObject", "s3:*"]}
NOT_ACTION = {"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*"}
NO_EFFECT = {**ALLOW, "Effect": "Permit"}


@pytest.mark.parametrize(
    ("definition", "permissions", "expected"),
    [
        (None, [ALLOW], 'definition = "definition.json": does not exist. Paths are relative to the deployment file.'),
        ('{\n"StartAt": }', [ALLOW], "is not JSON: Expecting value in line 2, column 12."),
        ([], [ALLOW], "is not a state machine definition: StartAt must name one of States."),
        ({"StartAt": "Go", "States": {}}, [ALLOW], "is not a state machine definition"),
        (
            {**DEFINITION, "Comment": "${Bus}"},
            [ALLOW],
            "the placeholder ${Bus} has no value. Use one of ${",
        ),
        ({**DEFINITION, "Comment": "${LandingBucket}"}, [ALLOW], "has no value. Add [subscribers.landing]."),
        (DEFINITION, {}, 'permissions = "permissions.json": must be a list of IAM statements.'),
        (DEFINITION, [ALLOW, WILDCARD], 'statement 1: Action "s3:*" is not the name of one action. Wildcards are not'),
        (DEFINITION, [NOT_ACTION], "statement 0: must have Effect, Action and Resource"),
        (DEFINITION, [NO_EFFECT], 'statement 0: Effect is "Permit". It must be Allow or Deny.'),
    ],
)
def test_invalid_file_is_reported(tmp_path: Path, definition: Any, permissions: Any, expected: str) -> None:
    for name, content in (("definition.json", definition), ("permissions.json", permissions)):
        if content is not None:
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    table = orders(state_machine={"definition": "definition.json", "permissions": "permissions.json"})
    assert expected in problem(table, tmp_path / "deployment.toml")


def test_definition_is_required() -> None:
    assert problem(orders(state_machine={})) == "subscribers[0].state_machine.definition: is missing. Add it."


def test_placeholders_are_filled(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"Bus": "${EventBusName}", "Arn": "${EventBusArn}/${EventBusName}"}')
    text = fill_placeholders(str(tmp_path / "a.json"), {"EventBusName": "orders", "EventBusArn": "arn"})
    assert json.loads(text) == {"Bus": "orders", "Arn": "arn/orders"}
