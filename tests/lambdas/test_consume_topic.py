"""The consume function of a Lambda subscriber: one task a message, however often it is delivered."""

import hashlib
import json
import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from claim_check import ClaimCheckError, PayloadConflict, S3Object
from shared.handoff import HandOff
from tests.lambdas.bad_messages import BAD, store_a_payload
from tests.lambdas.conftest import STAGING_STORE, STORE, environment

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/billing"
DEFINITION = "arn:aws:ecs:us-east-1:123456789012:task-definition/billing:1"
NETWORK = {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED"}
TASK = "arn:aws:ecs:us-east-1:123456789012:task/billing/1"


@pytest.fixture
def consume(load: Callable[..., ModuleType], aws: None) -> ModuleType:
    boto3.client("dynamodb").create_table(
        TableName="handed-on",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return load(
        "consume_topic",
        CLUSTER_ARN=CLUSTER,
        TASK_DEFINITION_ARN=DEFINITION,
        CONTAINER="application",
        NETWORK=json.dumps(NETWORK),
        IDEMPOTENCY_TABLE="handed-on",
        IDEMPOTENCY_SECONDS="5184000",
        **environment(),
    )


def sns_event(body: bytes, message_id: str) -> dict[str, Any]:
    boto3.client("s3").put_object(Bucket=STORE["bucket"], Key=f"payloads/{message_id}", Body=body)
    claim = {"id": message_id, "sha256": hashlib.sha256(body).hexdigest()}
    return pointing(STORE["bucket"], f"payloads/{message_id}", len(body), claim)


def pointing(bucket: str, key: str, size: int, claim: dict[str, str]) -> dict[str, Any]:
    pointer = ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": bucket, "s3Key": key}]
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": "1ae8c0d3-9f1d-5b5c-8d6c-9b3f7d0a0001",
                    "TopicArn": "arn:aws:sns:us-east-1:111111111111:coatcheck-messages",
                    "Message": json.dumps(pointer, separators=(",", ":")),
                    "Timestamp": "2026-11-20T03:00:00.000Z",
                    "MessageAttributes": {
                        "ExtendedPayloadSize": {"Type": "Number", "Value": str(size)},
                        "ClaimCheck": {"Type": "String", "Value": json.dumps(claim)},
                    },
                },
            }
        ]
    }


def request(message_id: str, body: bytes) -> dict[str, Any]:
    """The RunTask that a payload leads to."""
    variables = {
        "MESSAGE_ID": message_id,
        "PAYLOAD_BUCKET": STORE["bucket"],
        "PAYLOAD_KEY": f"payloads/{message_id}",
        "PAYLOAD_OWNER": STORE["owner"],
        "PAYLOAD_REGION": STORE["region"],
        "PAYLOAD_BYTES": str(len(body)),
        "PAYLOAD_SHA256": hashlib.sha256(body).hexdigest(),
    }
    return {
        "cluster": CLUSTER,
        "taskDefinition": DEFINITION,
        "clientToken": message_id,
        "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": NETWORK},
        "overrides": {
            "containerOverrides": [
                {"name": "application", "environment": [{"name": n, "value": v} for n, v in variables.items()]}
            ]
        },
    }


def test_a_message_runs_one_task_however_often_it_is_delivered(consume: ModuleType, context: SimpleNamespace) -> None:
    body = b"scan" * 100
    event = sns_event(body, "scan-1")
    with Stubber(consume.ecs) as ecs:
        ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []}, request("scan-1", body))
        for _ in range(3):
            consume.handler(event, context)
        ecs.assert_no_pending_responses()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the function would have slept, in seconds."""
    slept: list[float] = []
    monkeypatch.setattr("consume_topic.task.time.sleep", slept.append)
    return slept


def test_a_task_that_was_not_placed_is_tried_again_with_pauses(
    consume: ModuleType, context: SimpleNamespace, pauses: list[float]
) -> None:
    body = b"scan"
    event, expected = sns_event(body, "scan-2"), request("scan-2", body)
    with Stubber(consume.ecs) as ecs:
        failure = {"arn": CLUSTER, "reason": "RESOURCE:CPU"}
        ecs.add_response("run_task", {"tasks": [], "failures": [failure]}, expected)
        ecs.add_client_error("run_task", "ThrottlingException", "Rate exceeded", expected_params=expected)
        for words in ("You've reached the limit on the number of tasks", "Capacity is unavailable at this time"):
            ecs.add_client_error("run_task", "ClientException", words, expected_params=expected)
        ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []}, expected)
        consume.handler(event, context)
        ecs.assert_no_pending_responses()
    assert [0.5 <= pause / 2**n <= 1 for n, pause in enumerate(pauses)] == [True] * 4


def test_a_limit_that_lasts_is_raised_before_time_is_up(
    consume: ModuleType, context: SimpleNamespace, pauses: list[float]
) -> None:
    """Lambda then tries the event twice more, and puts it into the dead letters with this reason."""
    context.get_remaining_time_in_millis = lambda: 30_000 - 1000 * sum(pauses)
    with Stubber(consume.ecs) as ecs:
        failure = {"arn": CLUSTER, "reason": "RESOURCE:MEMORY"}
        for _ in range(20):
            ecs.add_response("run_task", {"tasks": [], "failures": [failure]})
        with pytest.raises(Exception, match=r"placed no task for message scan-5.*RESOURCE:MEMORY"):
            consume.handler(sns_event(b"scan", "scan-5"), context)
    assert 5 < sum(pauses) <= 20
    assert "Item" not in boto3.client("dynamodb").get_item(TableName="handed-on", Key={"id": {"S": "scan-5"}})


def test_a_mistake_is_raised_at_once(consume: ModuleType, context: SimpleNamespace, pauses: list[float]) -> None:
    with Stubber(consume.ecs) as ecs:
        ecs.add_client_error("run_task", "ClientException", "TaskDefinition is inactive")
        with pytest.raises(ClientError, match="inactive"):
            consume.handler(sns_event(b"scan", "scan-6"), context)
    assert pauses == []


def test_whatever_is_wrong_is_raised_for_the_dead_letter_queue_and_nothing_is_done_with_it(
    consume: ModuleType, context: SimpleNamespace, subtests: pytest.Subtests
) -> None:
    """Lambda keeps the event and what was raised; no task is run, nothing is remembered or put into the inbox."""
    store_a_payload()
    for what, bad in BAD.items():
        with subtests.test(what), Stubber(consume.ecs), pytest.raises(ClaimCheckError) as raised:
            consume.handler(bad.notified(), context)
        assert type(raised.value).__name__ == bad.error, what
    assert boto3.client("dynamodb").scan(TableName="handed-on")["Count"] == 0
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=STAGING_STORE["bucket"])


def test_another_payload_under_the_same_id_is_no_repetition(consume: ModuleType, context: SimpleNamespace) -> None:
    with Stubber(consume.ecs) as ecs:
        ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []}, request("order-1", b"first"))
        consume.handler(sns_event(b"first", "order-1"), context)
        with pytest.raises(PayloadConflict, match="another payload"):
            consume.handler(sns_event(b"second", "order-1"), context)
        ecs.assert_no_pending_responses()


def test_a_function_that_died_holds_up_nobody(consume: ModuleType, context: SimpleNamespace) -> None:
    """Killed after ECS took the task and before it was remembered: the next try is answered with the same task."""
    event = sns_event(b"scan", "scan-3")
    with Stubber(consume.ecs) as ecs:
        for _ in range(2):
            ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []}, request("scan-3", b"scan"))
        consume.idempotency.save = None  # calling it ends the function
        with pytest.raises(TypeError):
            consume.handler(event, context)
        del consume.idempotency.save
        consume.handler(event, context)
        ecs.assert_no_pending_responses()


def running(sha256: str) -> dict[str, Any]:
    """What ECS says of a task."""
    handoff = HandOff(
        message_id="scan-7", stored=S3Object("bucket", "key", "111111111111", "us-east-1"), bytes=4, sha256=sha256
    )
    environment = [{"name": name, "value": value} for name, value in handoff.to_environment().items()]
    return {
        "tasks": [
            {
                "taskArn": TASK,
                "overrides": {
                    "containerOverrides": [{"name": "sidecar"}, {"name": "application", "environment": environment}]
                },
            }
        ]
    }


def test_a_task_from_before_the_stack_was_changed_is_known_again(consume: ModuleType, context: SimpleNamespace) -> None:
    """Killed after ECS took the task, and then the task definition changed: to ECS that is another request."""
    with Stubber(consume.ecs) as ecs:
        ecs.add_client_error("run_task", "ConflictException", "used before", modeled_fields={"resourceIds": [TASK]})
        asked = {"cluster": CLUSTER, "tasks": [TASK]}
        ecs.add_response("describe_tasks", running(hashlib.sha256(b"scan").hexdigest()), asked)
        consume.handler(sns_event(b"scan", "scan-7"), context)
        consume.handler(sns_event(b"scan", "scan-7"), context)
        ecs.assert_no_pending_responses()
    item = boto3.client("dynamodb").get_item(TableName="handed-on", Key={"id": {"S": "scan-7"}})["Item"]
    assert item["task"]["S"] == TASK


@pytest.mark.parametrize("found", [running("0" * 64), {"tasks": [], "failures": [{"arn": TASK, "reason": "MISSING"}]}])
def test_a_task_with_another_payload_or_forgotten_is_no_proof(
    consume: ModuleType, context: SimpleNamespace, found: dict[str, Any]
) -> None:
    with Stubber(consume.ecs) as ecs:
        ecs.add_client_error("run_task", "ConflictException", "used before", modeled_fields={"resourceIds": [TASK]})
        ecs.add_response("describe_tasks", found)
        with pytest.raises(ClientError, match="used before"):
            consume.handler(sns_event(b"scan", "scan-7"), context)
    assert boto3.client("dynamodb").scan(TableName="handed-on")["Count"] == 0


def test_what_was_handed_on_is_remembered_as_long_as_configured(consume: ModuleType, context: SimpleNamespace) -> None:
    with Stubber(consume.ecs) as ecs:
        ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []}, request("scan-4", b"scan"))
        consume.handler(sns_event(b"scan", "scan-4"), context)
    item = boto3.client("dynamodb").get_item(TableName="handed-on", Key={"id": {"S": "scan-4"}})["Item"]
    assert 5_184_000 - 60 < int(item["expiration"]["N"]) - time.time() <= 5_184_000


def test_an_inline_payload_is_found_in_the_inbox(consume: ModuleType, context: SimpleNamespace) -> None:
    event = pointing("unused", "unused", 0, {"id": "inline-1"})
    event["Records"][0]["Sns"]["Message"] = "small and private"
    del event["Records"][0]["Sns"]["MessageAttributes"]["ExtendedPayloadSize"]
    expected = request("inline-1", b"small and private")
    variables = expected["overrides"]["containerOverrides"][0]["environment"]
    where = {"PAYLOAD_BUCKET": STAGING_STORE["bucket"], "PAYLOAD_KEY": "inline/inline-1"}
    expected["overrides"]["containerOverrides"][0]["environment"] = [
        {"name": each["name"], "value": where.get(each["name"], each["value"])} for each in variables
    ]
    with Stubber(consume.ecs) as ecs:
        ecs.add_response("run_task", {"tasks": [{"taskArn": TASK}], "failures": []}, expected)
        consume.handler(event, context)
        ecs.assert_no_pending_responses()
    stored = boto3.client("s3").get_object(Bucket=STAGING_STORE["bucket"], Key="inline/inline-1")
    assert stored["Body"].read() == b"small and private"
