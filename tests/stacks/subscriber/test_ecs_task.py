"""The ECS task behind a function: its image, size, network and environment."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from local.accounts import Accounts
from stacks.deployment.ecs_task import DEFAULT_CONTEXT
from tests.stacks.policies import Template, every_statement, only, resources
from tests.stacks.subscriber.support import EXAMPLE, changed, template

DIGEST = "sha256:" + "0123456789abcdef" * 4


def with_keys(folder: Path = Path(), /, **keys: Any) -> Template:
    return template(changed(EXAMPLE, "billing", folder, **keys), "billing")


@pytest.fixture(scope="module")
def billing() -> Template:
    return template(EXAMPLE, "billing")


def pulls(template: Template) -> list[object]:
    """Return the repositories from which the execution role may pull images."""
    (policy,) = (
        resource["Properties"]["PolicyDocument"]
        for name, resource in resources(template, "AWS::IAM::Policy").items()
        if name.startswith("TaskExecutionRole")
    )
    return [each["Resource"] for each in every_statement(policy) if "ecr:BatchGetImage" in each["Action"]]


@pytest.mark.parametrize("registry", ["public.ecr.aws", "777777777777.dkr.ecr.eu-west-1.example.com"])
def test_image_outside_ecr_needs_no_permission(registry: str) -> None:
    assert pulls(with_keys(task={"image": f"{registry}/example/orders@{DIGEST}"})) == []


def tag(template: Template) -> str:
    return str(only(template, "Custom::ContainerImage")["Properties"]["Tag"])


def test_image_of_a_custom_folder_is_tagged_by_content(tmp_path: Path, billing: Template) -> None:
    for name, dockerfile in (("a", "FROM scratch\nCOPY claim_check claim_check\n"), ("b", "FROM scratch\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(dockerfile)
    shutil.copytree(DEFAULT_CONTEXT, tmp_path / "copy")
    a, b, copy = (tag(with_keys(tmp_path, task={"context": name})) for name in ("a", "b", "copy"))
    assert len({a, b, copy}) == 3
    assert copy == tag(billing)


@pytest.mark.system
@pytest.mark.parametrize(
    ("end", "matches"),
    [
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 1}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 137, "reason": "OutOfMemory"}]}, True),
        ({"stopCode": "TaskFailedToStart", "containers": [{"name": "application"}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0, "reason": "OutOfMemory"}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"reason": "inspect timed out"}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"name": "application"}]}, True),
        ({"stopCode": "UserInitiated", "containers": [{"exitCode": 0}]}, True),
        ({"stopCode": "TerminationNotice", "containers": [{"exitCode": 0}]}, True),
        ({"containers": [{"exitCode": 0}]}, True),
        ({"stopCode": "EssentialContainerExited", "containers": [{"exitCode": 0}]}, False),
    ],
    ids=[
        *("error", "out of memory", "not started", "killed with exit code 0", "without exit code"),
        *("without exit code and reason", "stopped by a user", "stopped by AWS", "without stop code", "success"),
    ],
)
def test_failed_task_rule_matches_failures_alone(
    billing: Template, accounts: Accounts, end: dict[str, Any], matches: bool
) -> None:
    pattern = only(billing, "AWS::Events::Rule")["Properties"]["EventPattern"]
    pattern = pattern | {"detail": {**pattern["detail"], "clusterArn": ["cluster"]}}
    event = {
        "id": "1",
        "source": "aws.ecs",
        "detail-type": "ECS Task State Change",
        "account": "333333333333",
        "region": "us-east-1",
        "time": "2026-01-01T00:00:00Z",
        "resources": [],
        "detail": {"clusterArn": "cluster", "lastStatus": "STOPPED", **end},
    }
    events = accounts.client("events", account="333333333333", region="us-east-1")
    response = events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))
    assert response["Result"] is matches
