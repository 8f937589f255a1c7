"""`[subscribers.state_machine]`: problems of its two files."""

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.deployment import DeploymentError, load_messaging, parse_messaging
from tests.templates import ROOT

DEFINITION = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed", "Comment": "${EventBusName}"}}}
ALLOW = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
WILDCARD = {**ALLOW, "Action": ["s3:GetObject", "s3:*"]}
NOT_ACTION = {"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*"}


@pytest.mark.parametrize(
    ("definition", "permissions", "expected"),
    [
        (None, [ALLOW], "there is no such file; its path begins at the deployment file's folder"),
        ('{\n"StartAt": }', [ALLOW], "is not JSON: Expecting value in line 2, column 12"),
        ([], [ALLOW], "is no definition of a state machine"),
        ({"StartAt": "Go", "States": {}}, [ALLOW], "whose StartAt names one of its"),
        (
            {**DEFINITION, "Comment": "${LandingBucket}"},
            [ALLOW],
            "there is no ${LandingBucket}; there are ${StateMachineArn}, ${ExecutionArnPrefix}, ${EventBusName}",
        ),
        (DEFINITION, {}, "is no list of IAM statements"),
        (DEFINITION, [ALLOW, WILDCARD], "statement 1: Action 's3:*': name each action by itself, without wildcards"),
        (DEFINITION, [NOT_ACTION], "statement 0: must have Effect, Action and Resource"),
    ],
)
def test_invalid_file_is_rejected(tmp_path: Path, definition: Any, permissions: Any, expected: str) -> None:
    for name, content in (("definition.json", definition), ("permissions.json", permissions)):
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (tmp_path / name).write_text(text)
    table = json.loads(load_messaging(ROOT / "deployments" / "example.toml").model_dump_json())
    table["subscribers"][0]["state_machine"] = {"definition": "definition.json", "permissions": "permissions.json"}
    with pytest.raises(DeploymentError) as refused:
        parse_messaging(table, tmp_path / "deployment.toml")
    assert [problem for problem in refused.value.problems if expected in problem], refused.value.problems


def test_definition_is_required() -> None:
    table = json.loads(load_messaging(ROOT / "deployments" / "example.toml").model_dump_json())
    table["subscribers"][0]["state_machine"] = {}
    with pytest.raises(DeploymentError, match=r"subscribers\[0\].state_machine.definition: is missing"):
        parse_messaging(table)
