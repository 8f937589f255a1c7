"""Patches of ECS."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.support import Account, unique

pytestmark = pytest.mark.system


def _definition(account: Account) -> str:
    """Register a task definition and return its ARN."""
    registered = account.client("ecs").register_task_definition(
        family=unique("task"), containerDefinitions=[{"name": "application", "image": "unused", "memory": 64}]
    )
    arn: str = registered["taskDefinition"]["taskDefinitionArn"]
    return arn


def _run(account: Account, definition: str, message: str, role: str | None = None, **settings: Any) -> dict[str, Any]:
    environment = [{"name": "MESSAGE_ID", "value": message}]
    overrides = {"containerOverrides": [{"name": "application", "environment": environment}]}
    response = account.client("ecs", role=role).run_task(
        cluster="default", taskDefinition=definition, overrides=overrides, **settings
    )
    task: dict[str, Any] = response["tasks"][0]
    return task


@pytest.mark.patched
def test_client_token_starts_one_task(publisher: Account) -> None:
    definition = _definition(publisher)

    first = _run(publisher, definition, "a", clientToken="token-1")
    again = _run(publisher, definition, "a", clientToken="token-1")
    other = _run(publisher, definition, "a", clientToken="token-2")

    assert first["taskArn"] == again["taskArn"] != other["taskArn"]
    with pytest.raises(ClientError, match="ConflictException") as conflict:
        _run(publisher, definition, "b", clientToken="token-1")
    assert conflict.value.response["resourceIds"] == [first["taskArn"]]  # type: ignore[typeddict-item]


@pytest.mark.patched
def test_task_is_authorized_by_definition(publisher: Account) -> None:
    definition, other = _definition(publisher), _definition(publisher)
    role = publisher.role({"Action": "ecs:RunTask", "Resource": definition})

    _run(publisher, definition, "a", role)
    _run(publisher, definition.rsplit("/", 1)[1], "a", role)
    with pytest.raises(ClientError, match="AccessDenied"):
        _run(publisher, other, "a", role)


@pytest.mark.patched
def test_cluster_with_tasks_is_kept(publisher: Account) -> None:
    ecs, cluster = publisher.client("ecs"), unique("cluster")
    ecs.create_cluster(clusterName=cluster)
    task = ecs.run_task(cluster=cluster, taskDefinition=_definition(publisher))["tasks"][0]["taskArn"]
    with pytest.raises(ClientError, match="ClusterContainsTasksException"):
        ecs.delete_cluster(cluster=cluster)
    ecs.stop_task(cluster=cluster, task=task)
    ecs.delete_cluster(cluster=cluster)
