"""ECS's gaps."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from access.template import Resources
from local.accounts import Accounts
from stacks.deployment import load_messaging
from tests.local.support import PUBLISHER, Account, unique
from tests.templates import ROOT, synthesize

pytestmark = pytest.mark.system


def _definition(account: Account) -> str:
    registered = account.client("ecs").register_task_definition(
        family=unique("task"), containerDefinitions=[{"name": "application", "image": "unused", "memory": 64}]
    )
    arn: str = registered["taskDefinition"]["taskDefinitionArn"]
    return arn


def _run(account: Account, definition: str, message: str, role: str | None = None, **settings: Any) -> dict[str, Any]:
    environment = [{"name": "MESSAGE_ID", "value": message}]
    overrides = {"containerOverrides": [{"name": "application", "environment": environment}]}
    answer = account.client("ecs", role=role).run_task(
        cluster="default", taskDefinition=definition, overrides=overrides, **settings
    )
    task: dict[str, Any] = answer["tasks"][0]
    return task


def test_a_client_token_starts_one_task(publisher: Account) -> None:
    definition = _definition(publisher)

    first = _run(publisher, definition, "a", clientToken="token-1")
    again = _run(publisher, definition, "a", clientToken="token-1")
    other = _run(publisher, definition, "a", clientToken="token-2")

    assert first["taskArn"] == again["taskArn"] != other["taskArn"]
    with pytest.raises(ClientError, match="ConflictException") as conflict:
        _run(publisher, definition, "b", clientToken="token-1")
    assert conflict.value.response["resourceIds"] == [first["taskArn"]]  # type: ignore[typeddict-item]


def test_gap_client_token(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    definition = _definition(account)

    first = _run(account, definition, "a", clientToken="token-1")
    again = _run(account, definition, "a", clientToken="token-1")

    assert first["taskArn"] != again["taskArn"]


def test_a_task_can_be_described_with_its_overrides(publisher: Account) -> None:
    arn = _run(publisher, _definition(publisher), "message-1")["taskArn"]

    task = publisher.client("ecs").describe_tasks(cluster="default", tasks=[arn])["tasks"][0]

    assert task["overrides"]["containerOverrides"][0]["environment"] == [{"name": "MESSAGE_ID", "value": "message-1"}]


def test_running_a_task_is_allowed_by_its_definition(publisher: Account) -> None:
    definition, other = _definition(publisher), _definition(publisher)
    role = publisher.role({"Action": "ecs:RunTask", "Resource": definition})

    _run(publisher, definition, "a", role)
    _run(publisher, definition.rsplit("/", 1)[1], "a", role)
    with pytest.raises(ClientError, match="AccessDenied"):
        _run(publisher, other, "a", role)


def test_gap_running_a_task_by_its_definition(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    definition = _definition(account)
    role = account.role({"Action": "ecs:RunTask", "Resource": definition})

    with pytest.raises(ClientError, match="AccessDenied"):
        _run(account, definition, "a", role)


@pytest.mark.parametrize(
    ("ended", "kept"),
    [
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 1}]}, True),
        (
            {"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 137, "reason": "OutOfMemoryError"}]},
            True,
        ),
        ({"stopCode": "TaskFailedToStart", "containers": [{"name": "application"}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0}]}, False),
    ],
)
def test_the_rule_for_failed_tasks_takes_those_and_no_others(
    publisher: Account, ended: dict[str, Any], kept: bool
) -> None:
    deployment = load_messaging(ROOT / "deployments" / "example.toml")
    (stack,) = (each for each in synthesize(deployment) if each.name == "coatcheck-billing")
    (rule,) = (r["Properties"] for r in stack.template["Resources"].values() if r["Type"] == "AWS::Events::Rule")
    pattern = Resources(stack).resolve(rule["EventPattern"], "rule")
    detail = {"clusterArn": pattern["detail"]["clusterArn"][0], "lastStatus": "STOPPED", **ended}
    event = {
        "id": "1",
        "source": "aws.ecs",
        "detail-type": "ECS Task State Change",
        "account": "333333333333",
        "region": "us-east-1",
        "time": "2026-01-01T00:00:00Z",
        "resources": [],
        "detail": detail,
    }
    answer = publisher.client("events").test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))
    assert answer["Result"] is kept
