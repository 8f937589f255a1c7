"""Pairs of transport and application: what a subscriber's stack has for each."""

import json
from pathlib import Path

import pytest

from stacks.deployment import load_messaging
from tests.stacks.policies import Template, consume_function, only, resources, statements
from tests.stacks.subscriber.support import DEPLOYMENTS, EXAMPLE, changed, template

PAIRS = load_messaging(DEPLOYMENTS / "applications.toml")
OWN = {
    "orders": ("state_machine", "consume_queue", "AWS::Events::EventBus"),
    "billing": ("ecs_task", "consume_topic", "AWS::ECS::TaskDefinition"),
    "scans": ("ecs_task", "consume_queue", "AWS::ECS::TaskDefinition"),
    "texts": ("function", "consume_queue", None),
    "reports": ("state_machine", "consume_topic", "AWS::Events::EventBus"),
    "counts": ("function", "consume_topic", None),
}
APPLICATIONS = {"AWS::Events::EventBus", "AWS::ECS::TaskDefinition"}


def of(name: str) -> Template:
    return template(EXAMPLE if name in ("orders", "billing") else PAIRS, name)


@pytest.mark.parametrize("name", OWN)
def test_kind_and_application_are_chosen_apart(name: str) -> None:
    application, package, kind = OWN[name]
    function = consume_function(of(name))
    assert function["Handler"] == f"{package}.handler.handler"
    assert function["Environment"]["Variables"]["APPLICATION"] == application
    assert {other for other in APPLICATIONS if resources(of(name), other)} == ({kind} if kind else set())
    is_staged = any("staging" in str(bucket) for bucket in resources(of(name), "AWS::S3::Bucket").values())
    assert is_staged is (kind is not None)


def test_queue_limits_the_tasks_behind_it() -> None:
    mapping = only(of("scans"), "AWS::Lambda::EventSourceMapping")["Properties"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 2}
    (table,) = resources(of("scans"), "AWS::DynamoDB::GlobalTable").values()
    assert table["Properties"]["TableName"] == "coatcheck-scans-idempotency"


def test_service_polls_the_queue_as_the_reader_role() -> None:
    own = of("service")
    assert not resources(own, "AWS::Lambda::Function")
    (role,) = resources(own, "AWS::IAM::Role").values()
    assert role["Properties"]["RoleName"] == "coatcheck-service-reader"
    (trusted,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Condition"] == {"ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::222222222222:role/service"]}}
    assert "s3:GetObject" in [each["Action"] for each in statements(own, "AWS::IAM::Policy")]
    assert set(own["Outputs"]) == {"ReaderRoleArn", "QueueUrl", "TrustedStores", "DeadLetterQueueUrl"}
    alarms = {alarm["Properties"]["AlarmName"] for alarm in resources(own, "AWS::CloudWatch::Alarm").values()}
    assert alarms == {
        f"coatcheck-service-{name}"
        for name in ("DeadLettersNotEmpty", "QueueLate", "ServiceStopped", "UndeliveredNotEmpty")
    }


def test_own_code_has_memory_environment_and_permissions() -> None:
    own = of("reports")
    function = consume_function(own)
    variables = function["Environment"]["Variables"]
    assert (function["MemorySize"], variables["LANGUAGE"], variables["PROCESS_SECONDS"]) == (512, "en", "50")
    (stated,) = json.loads((DEPLOYMENTS.parent / "applications/state_machine/orders.permissions.json").read_text())
    assert stated in statements(own, "AWS::IAM::Policy")


def test_function_without_own_code_has_none(tmp_path: Path) -> None:
    assert "PROCESS_SECONDS" not in consume_function(of("orders"))["Environment"]["Variables"]
    assert consume_function(of("orders"))["MemorySize"] == 1024


def test_own_code_is_a_part_of_the_asset(tmp_path: Path) -> None:
    assets = set()
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "application.py").write_text(f"def process(message):\n    return {name!r}\n")
        own = template(changed(EXAMPLE, "orders", tmp_path, code={"folder": name}), "orders")
        assets.add(str(consume_function(own)["Code"]))
    assert len(assets) == 2
