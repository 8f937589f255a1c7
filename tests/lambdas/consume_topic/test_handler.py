"""The consume function of a subscriber without a queue: one task for each message."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from claim_check import PayloadDenied, S3Object
from cli.redrive.dead_letter import DeadLetter, parse, parse_failed_invocation
from consume.settings import EcsTaskSettings
from consume_topic.settings import Settings
from shared.handoff import HandOff
from tests.lambdas.conftest import (
    REPLICATED,
    STAGING,
    STORE,
    Listen,
    Load,
    assert_stale_replica_is_counted,
    create_queue,
    received,
    store_outdated_replica,
)
from tests.lambdas.consume.test_idempotency import TABLE, create_table
from tests.lambdas.raw_messages import BAD_MESSAGES, RawMessage, pointing, store_payload

TASK = "arn:aws:ecs:us-east-1:123456789012:task/billing/1"
STARTED = {"tasks": [{"taskArn": TASK}], "failures": []}
TASK_SETTINGS = EcsTaskSettings(
    staging_store=STAGING,
    cluster_arn="arn:aws:ecs:us-east-1:123456789012:cluster/billing",
    task_definition_arn="arn:aws:ecs:us-east-1:123456789012:task-definition/billing:1",
    container="application",
    network={"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"},
    idempotency_table=TABLE,
    idempotency_seconds=5_184_000,
)


@pytest.fixture
def settings(aws: None) -> Settings:
    return Settings(trusted_stores=(STORE,), dead_letter_queue_url=create_queue("dead-letters"))


@pytest.fixture
def consume(load: Load, settings: Settings) -> ModuleType:
    create_table()
    return load(settings, TASK_SETTINGS)


@pytest.fixture
def ecs(consume: ModuleType) -> Iterator[Stubber]:
    with Stubber(consume.consumer.application.runner.ecs) as stub:
        yield stub
        stub.assert_no_pending_responses()


def sns_event(body: bytes, message_id: str) -> dict[str, Any]:
    """Store a payload, and return the event with its pointer."""
    boto3.client("s3").put_object(Bucket=STORE.bucket, Key=f"payloads/{message_id}", Body=body)
    sha256 = hashlib.sha256(body).hexdigest()
    return pointing(STORE.bucket, f"payloads/{message_id}", str(len(body)), id=message_id, sha256=sha256).notified()


def request(stored: S3Object, message_id: str, body: bytes, *, crc32: str | None = None) -> dict[str, Any]:
    """Return the expected request to ECS."""
    sha256 = hashlib.sha256(body).hexdigest()
    handoff = HandOff(message_id=message_id, stored=stored, bytes=len(body), sha256=sha256, crc32=crc32)
    variables = [{"name": name, "value": value} for name, value in handoff.to_environment().items()]
    return {
        "cluster": TASK_SETTINGS.cluster_arn,
        "taskDefinition": TASK_SETTINGS.task_definition_arn,
        "clientToken": message_id,
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": TASK_SETTINGS.network},
        "overrides": {"containerOverrides": [{"name": "application", "environment": variables}]},
    }


def test_repeated_message_runs_one_task(consume: ModuleType, ecs: Stubber, context: SimpleNamespace) -> None:
    body = b"scan" * 100
    event = sns_event(body, "scan-1")
    ecs.add_response("run_task", STARTED, request(STORE.object_of("scan-1"), "scan-1", body))
    for _ in range(3):
        consume.handler(event, context)


def test_inline_payload_is_staged(consume: ModuleType, ecs: Stubber, context: SimpleNamespace) -> None:
    event = RawMessage("small and private", {"ClaimCheck": ("String", '{"id":"inline-1"}')}).notified()
    staged = STAGING.object_of("inline-1")
    ecs.add_response("run_task", STARTED, request(staged, "inline-1", b"small and private", crc32="9rhCrA=="))
    consume.handler(event, context)
    stored = boto3.client("s3").get_object(Bucket=staged.bucket, Key=staged.key)
    assert stored["Body"].read() == b"small and private"


def dead_letters(consume: ModuleType) -> list[DeadLetter]:
    """Return the dead letters as `coatcheck redrive` reads them, and delete them."""
    url = consume.settings.dead_letter_queue_url
    messages = received(url)
    for message in messages:
        boto3.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [parse(message, (parse_failed_invocation,)) for message in messages]


def test_bad_messages_are_dead_lettered_at_once(
    consume: ModuleType, ecs: Stubber, context: SimpleNamespace, subtests: pytest.Subtests
) -> None:
    store_payload()
    for name, (bad, error) in BAD_MESSAGES.items():
        with subtests.test(name):
            consume.handler(bad.notified(), context)
            (dead,) = dead_letters(consume)
            assert (dead.kind, dead.event) == (error, bad.notified())
    assert boto3.client("dynamodb").scan(TableName=TABLE)["Count"] == 0
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=STAGING.bucket)


def test_failed_task_start_leaves_no_record(consume: ModuleType, ecs: Stubber, context: SimpleNamespace) -> None:
    ecs.add_client_error("run_task", "ClientException", "TaskDefinition is inactive")
    with pytest.raises(ClientError, match="inactive"):
        consume.handler(sns_event(b"scan", "scan-6"), context)
    assert boto3.client("dynamodb").scan(TableName=TABLE)["Count"] == 0


def test_retry_after_a_crash_gets_the_same_task(
    consume: ModuleType, ecs: Stubber, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function ends after ECS accepted the task, before the record is written. ECS has the client token."""
    event = sns_event(b"scan", "scan-3")
    for _ in range(2):
        ecs.add_response("run_task", STARTED, request(STORE.object_of("scan-3"), "scan-3", b"scan"))
    with monkeypatch.context() as crash:
        crash.setattr(consume.consumer.application.idempotency, "save", None)
        with pytest.raises(TypeError):
            consume.handler(event, context)
    consume.handler(event, context)


def test_log_and_metrics_of_each_message(
    consume: ModuleType, ecs: Stubber, context: SimpleNamespace, listen: Listen
) -> None:
    telemetry = listen(consume)
    ecs.add_response("run_task", STARTED)
    for _ in range(2):
        consume.handler(sns_event(b"scan", "scan-1"), context)
    consume.handler(pointing("other-bucket", "payloads/x", id="forged").notified(), context)
    first, second, failed = telemetry.lines()
    assert [(line["message"], line["message_id"]) for line in (first, second)] == [
        ("handed off", "scan-1"),
        ("already handed off", "scan-1"),
    ]
    assert (failed["level"], failed["exception_name"]) == ("ERROR", "UntrustedStore")
    metrics = telemetry.metrics()
    assert metrics["UntrustedStore"] == [1]
    assert metrics["ReceivedMessages"] == [1, 1, 1]
    assert len(metrics["DeliveryLatency"]) == 2
    assert len(metrics["ProcessingTime"]) == 1


def test_stale_replica_is_counted(load: Load, settings: Settings, context: SimpleNamespace, listen: Listen) -> None:
    create_table()
    event = sns_event(b"scan", "new")
    store_outdated_replica("new", 4)
    consume = load(replace(settings, trusted_stores=(REPLICATED,)), TASK_SETTINGS)
    telemetry = listen(consume)
    with Stubber(consume.consumer.application.runner.ecs) as ecs:
        ecs.add_response("run_task", STARTED)
        consume.handler(event, context)
    assert_stale_replica_is_counted(telemetry, "new")


def test_denied_payload_is_retried_by_lambda(
    consume: ModuleType, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy of the publisher's stack can take effect minutes later."""
    monkeypatch.setattr("consume.ecs_task.prepare_handoff", Mock(side_effect=PayloadDenied("AccessDenied")))
    with pytest.raises(PayloadDenied):
        consume.handler(sns_event(b"scan", "scan-7"), context)
    assert dead_letters(consume) == []
