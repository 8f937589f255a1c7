"""Settings of the functions as environment variables."""

import subprocess
import sys

import pytest

import consume.settings
import consume_queue.settings
import copy_payload.settings
import publish.settings
import start_pipeline.settings
from claim_check import Replica, Store
from shared.settings import EnvironmentSettings, InvalidSettings

PAYLOADS = Store("payloads-bucket", "payloads/", "111111111111", "us-east-1")
NEAR = Store("payloads-bucket", "payloads/", "111111111111", "us-east-1", (Replica("replica-bucket", "us-west-2"),))
OTHER = Store("other-bucket", "inline/", "222222222222", "us-west-2")

PUBLISH = publish.settings.Settings(
    topic_arn="arn:aws:sns:us-east-1:111111111111:coatcheck-messages",
    payload_store=PAYLOADS,
    outbox_prefix="outbox/",
    senders={"shop": "us-east-1:444444444444"},
    sender_bus="arn:aws:events:{place}:event-bus/coatcheck-{name}-sender",
    deployment="coatcheck",
    dead_letter_queue_url="https://sqs.us-east-1.amazonaws.com/111111111111/coatcheck-publish-dead-letters",
    threshold_bytes=262_144,
    offload="over-threshold",
    maximum_upload_bytes=2**31,
    outbox_attributes=("kind",),
)
SETTINGS = [
    PUBLISH,
    consume_queue.settings.Settings(
        trusted_stores=(NEAR,),
        dead_letter_queue_url="https://sqs.us-west-2.amazonaws.com/222222222222/coatcheck-orders-dead-letters",
        maximum_receives=5,
    ),
    consume.settings.StateMachineSettings(
        staging_store=OTHER, state_machine_arn="arn:aws:states:us-west-2:222222222222:stateMachine:coatcheck-orders"
    ),
    consume.settings.EcsTaskSettings(
        staging_store=OTHER,
        cluster_arn="arn:aws:ecs:us-west-2:222222222222:cluster/coatcheck-billing",
        task_definition_arn="arn:aws:ecs:us-west-2:222222222222:task-definition/coatcheck-billing:1",
        container="application",
        network={"subnets": ["subnet-1"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"},
        idempotency_table="coatcheck-billing-idempotency",
        idempotency_seconds=86_400,
    ),
    copy_payload.settings.Settings(trusted_stores=(NEAR, OTHER), landing_store=OTHER),
    start_pipeline.settings.Settings(
        trusted_stores=(PAYLOADS, OTHER), data_store=OTHER, pipeline="coatcheck-qc", event_bus="coatcheck-datasets"
    ),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: type(settings).__qualname__)
def test_settings_survive_a_round_trip(settings: EnvironmentSettings) -> None:
    environment = settings.to_environment()
    assert type(settings).from_environment({**environment, "PATH": "/usr/bin"}) == settings


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: type(settings).__qualname__)
def test_missing_variable_is_named(settings: EnvironmentSettings) -> None:
    environment = settings.to_environment()
    for name in environment:
        others = {other: value for other, value in environment.items() if other != name}
        with pytest.raises(InvalidSettings, match=rf"^{name}: is not set\. Deploy the function's stack"):
            type(settings).from_environment(others)


@pytest.mark.parametrize(
    ("variable", "value"), [("THRESHOLD_BYTES", "many"), ("PAYLOAD_STORE", "{"), ("PAYLOAD_STORE", '{"bucket": "b"}')]
)
def test_invalid_variable_is_named_with_its_value(variable: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=rf"^{variable} = '.+': cannot be read: .+"):
        publish.settings.Settings.from_environment(PUBLISH.to_environment() | {variable: value})


def test_settings_import_neither_boto3_nor_powertools() -> None:
    """Stacks import the settings at synthesis."""
    modules = ", ".join(type(settings).__module__ for settings in SETTINGS)
    code = f"import sys, {modules}; print([name for name in sys.modules if name in ('boto3', 'aws_lambda_powertools')])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "[]\n"
