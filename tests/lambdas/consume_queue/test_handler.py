"""The consume function of a subscriber with a queue: a batch, record by record."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError

from claim_check import Dereferencer, PayloadCorrupt, PayloadDenied, Publisher
from consume.settings import StateMachineSettings
from consume_queue.settings import Settings
from shared.handoff import HandOff
from tests.lambdas.conftest import (
    REPLICATED,
    SECONDS_IN_QUEUE,
    STAGING,
    STORE,
    Listen,
    Load,
    assert_stale_replica_is_counted,
    create_queue,
    received,
    sqs_record,
    store_outdated_replica,
    subscribed_topic,
)
from tests.lambdas.raw_messages import BAD_MESSAGES, pointing, store_payload

ROLE = "arn:aws:iam::123456789012:role/states"
UNTRUSTED = pointing("other-bucket", "secret").queued()
SUCCESS: dict[str, list[Any]] = {"batchItemFailures": []}
Publish = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(aws: None) -> Settings:
    return Settings(trusted_stores=(STORE,), dead_letter_queue_url=create_queue("dead-letters"), maximum_receives=5)


@pytest.fixture
def machine(aws: None) -> StateMachineSettings:
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    created = boto3.client("stepfunctions").create_state_machine(name="orders", definition=definition, roleArn=ROLE)
    return StateMachineSettings(staging_store=STAGING, state_machine_arn=created["stateMachineArn"])


@pytest.fixture
def consume(load: Load, settings: Settings, machine: StateMachineSettings) -> ModuleType:
    return load(settings, machine)


@pytest.fixture
def publish(aws: None) -> Publish:
    """Publish a payload, and return the SQS message that the subscriber receives."""
    url = create_queue("delivered")
    publisher = Publisher(topic_arn=subscribed_topic(url), store=STORE)

    def publish(payload: bytes, message_id: str, **options: Any) -> dict[str, Any]:
        publisher.publish(payload, message_id=message_id, **options)
        (message,) = received(url)
        boto3.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    return publish


def staged() -> dict[str, bytes]:
    """Return the payloads in the staging bucket, by key."""
    s3 = boto3.client("s3")
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=STAGING.bucket).get("Contents", [])]
    return {key: s3.get_object(Bucket=STAGING.bucket, Key=key)["Body"].read() for key in keys}


def executions(consume: ModuleType) -> dict[str, dict[str, Any]]:
    """Return the inputs of the executions, by name."""
    states = boto3.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=consume.consumer.application.arn)["executions"]
    return {
        execution["name"]: json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])
        for execution in listed
    }


def dead_letters(consume: ModuleType) -> list[dict[str, Any]]:
    return received(consume.settings.dead_letter_queue_url)


def reason(dead: dict[str, Any]) -> str:
    text: str = dead["MessageAttributes"]["DeadLetterReason"]["StringValue"]
    return text


def test_offloaded_payload_is_handed_off_as_its_pointer(
    consume: ModuleType, publish: Publish, context: SimpleNamespace
) -> None:
    message = publish(b"x" * 300_000, message_id="large", attributes={"colour": "red"})
    assert consume.handler({"Records": [sqs_record(message)]}, context) == SUCCESS
    assert executions(consume)["large"] == {
        "message_id": "large",
        "pointer": STORE.object_of("large").to_dict(),
        "summary": {
            "bytes": 300_000,
            "sha256": hashlib.sha256(b"x" * 300_000).hexdigest(),
            "crc64nvme": None,
            "crc32": None,
            "proved_by": "sha256",
            "subject": None,
            "attributes": {"colour": "red"},
        },
        "result": None,
    }


def test_inline_payload_is_staged_and_not_in_the_input(
    consume: ModuleType, publish: Publish, context: SimpleNamespace
) -> None:
    message = publish(b"small and private", message_id="small")
    assert consume.handler({"Records": [sqs_record(message)]}, context) == SUCCESS
    content = executions(consume)["small"]
    assert content["pointer"] == STAGING.object_of("small").to_dict()
    assert "small and private" not in json.dumps(content)
    assert staged() == {"inline/small": b"small and private"}


def test_bad_messages_are_dead_lettered_unchanged(
    consume: ModuleType, context: SimpleNamespace, subtests: pytest.Subtests
) -> None:
    store_payload()
    first, last = (sqs_record({"MessageId": name, "Body": name}) for name in ("first", "last"))
    for name, (bad, error) in BAD_MESSAGES.items():
        with subtests.test(name):
            assert consume.handler({"Records": [first, sqs_record(bad.queued()), last]}, context) == SUCCESS
            (dead,) = dead_letters(consume)
            boto3.client("sqs").delete_message(
                QueueUrl=consume.settings.dead_letter_queue_url, ReceiptHandle=dead["ReceiptHandle"]
            )
            assert reason(dead).startswith(f"{error}: ")
            del dead["MessageAttributes"]["DeadLetterReason"]
            assert {key: dead[key] for key in ("Body", "MessageAttributes")} == {
                key: bad.queued()[key] for key in ("Body", "MessageAttributes")
            }
    assert sorted(executions(consume)) == ["first", "last"]
    assert staged() == {"inline/first": b"first", "inline/last": b"last"}


def test_transient_error_is_retried_until_the_last_receive(
    consume: ModuleType, publish: Publish, context: SimpleNamespace
) -> None:
    message = publish(b"unlucky", message_id="unlucky")
    boto3.client("stepfunctions").delete_state_machine(stateMachineArn=consume.consumer.application.arn)
    failed = consume.handler({"Records": [sqs_record(message, receives=4)]}, context)
    assert failed == {"batchItemFailures": [{"itemIdentifier": message["MessageId"]}]}
    assert dead_letters(consume) == []
    assert consume.handler({"Records": [sqs_record(message, receives=5)]}, context) == SUCCESS
    (dead,) = dead_letters(consume)
    assert reason(dead).startswith("StateMachineDoesNotExist: ")


def test_record_without_space_for_a_reason_is_left_to_sqs(
    consume: ModuleType, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS rejects an eleventh attribute. It moves the record itself after its last receive."""
    error = ClientError({"Error": {"Code": "InvalidParameterValue"}}, "SendMessage")
    monkeypatch.setattr(consume.sqs, "send_message", Mock(side_effect=error))
    for receives in (1, 5):
        failed = consume.handler({"Records": [sqs_record(UNTRUSTED, receives=receives)]}, context)
        assert failed == {"batchItemFailures": [{"itemIdentifier": UNTRUSTED["MessageId"]}]}


def test_rest_of_a_failed_group_waits_in_a_fifo_queue(
    consume: ModuleType, publish: Publish, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [publish(name.encode(), message_id=name) for name in ("first", "second", "third")]
    records = [sqs_record(message, queue="queue.fifo") for message in messages]
    records[2]["attributes"]["MessageGroupId"] = "another group"
    states = consume.consumer.application.states
    start = states.start_execution

    def start_except_the_first(**request: Any) -> Any:
        if request["name"] == "first":
            raise ClientError({"Error": {"Code": "Throttled"}}, "StartExecution")
        return start(**request)

    monkeypatch.setattr(states, "start_execution", start_except_the_first)
    failed = consume.handler({"Records": records}, context)
    assert [item["itemIdentifier"] for item in failed["batchItemFailures"]] == [
        messages[0]["MessageId"],
        messages[1]["MessageId"],
    ]
    assert list(executions(consume)) == ["third"]


@pytest.mark.parametrize("behind", ["same batch", "later batch"])
def test_message_behind_a_failed_one_keeps_its_attempts(
    consume: ModuleType, publish: Publish, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, behind: str
) -> None:
    """SQS counts a receive for it each time. Only its own failures are attempts."""
    names = ["first", "second", "third"]
    messages = {name: publish(name.encode(), message_id=name) for name in names}
    attempts: Counter[str] = Counter()

    def fail(**request: Any) -> Any:
        attempts[request["name"]] += 1
        raise ClientError({"Error": {"Code": "Throttled"}}, "StartExecution")

    monkeypatch.setattr(consume.consumer.application.states, "start_execution", fail)
    waiting = list(names)
    for receives in range(1, 40):
        batch = waiting if behind == "same batch" else waiting[:2]
        records = [sqs_record(messages[name], queue="queue.fifo", receives=receives) for name in batch]
        failed = {
            item["itemIdentifier"] for item in consume.handler({"Records": records}, context)["batchItemFailures"]
        }
        waiting = [name for name in waiting if name not in batch or messages[name]["MessageId"] in failed]
        if not waiting:
            break
    assert attempts == dict.fromkeys(names, 5)
    assert receives <= 5 * len(names)  # SQS moves a message itself after `batch_size` times as many receives


@pytest.mark.parametrize(
    ("queue", "failures", "retried"), [("q", 1, False), ("q.fifo", 1, True), ("q.fifo", 4, True), ("q.fifo", 5, False)]
)
def test_denied_payload_is_retried_in_a_fifo_queue_only(
    consume: ModuleType,
    publish: Publish,
    context: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    queue: str,
    failures: int,
    retried: bool,
) -> None:
    """Later messages of its group must not overtake it. Elsewhere the operators hear of it at once."""
    message = publish(b"x" * 300_000, message_id="large")
    monkeypatch.setattr("consume.state_machine.prepare_handoff", Mock(side_effect=PayloadDenied("AccessDenied")))
    for _ in range(failures):
        failed = consume.handler({"Records": [sqs_record(message, queue=queue)]}, context)
    assert bool(failed["batchItemFailures"]) is retried
    assert bool(dead_letters(consume)) is not retried


def test_no_byte_of_a_payload_is_read(
    consume: ModuleType, publish: Publish, context: SimpleNamespace, listen: Listen
) -> None:
    message, calls = publish(b"x" * 300_000, message_id="large"), []
    session: Any = boto3.DEFAULT_SESSION  # of the client that the dereferencer makes on first use
    session.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    telemetry = listen(consume)
    assert consume.handler({"Records": [sqs_record(message)]}, context) == SUCCESS
    assert calls == ["HeadObject"]
    (line,) = telemetry.lines()
    assert (line["bytes"], line["proved_by"]) == (300_000, "sha256")


def test_payload_without_common_checksum_is_proved_by_size(
    consume: ModuleType, publish: Publish, context: SimpleNamespace, listen: Listen
) -> None:
    """Its bytes were written again by a tool that stores no SHA-256. Reading compares the message's."""
    message = publish(b"x" * 300_000, message_id="large")
    boto3.client("s3").put_object(Bucket=STORE.bucket, Key="payloads/large", Body=b"y" * 300_000)
    telemetry = listen(consume)
    assert consume.handler({"Records": [sqs_record(message)]}, context) == SUCCESS
    summary = executions(consume)["large"]["summary"]
    assert (summary["sha256"], summary["proved_by"]) == (hashlib.sha256(b"x" * 300_000).hexdigest(), "size")
    assert telemetry.lines()[0]["proved_by"] == "size"
    handoff = HandOff.from_input(executions(consume)["large"])
    with pytest.raises(PayloadCorrupt):
        handoff.payload(Dereferencer(stores=[STORE])).read()


def test_message_of_another_client_has_the_checksum_of_s3(consume: ModuleType, context: SimpleNamespace) -> None:
    body = b"by another client" * 20_000
    boto3.client("s3").put_object(Bucket=STORE.bucket, Key="payloads/foreign", Body=body, ChecksumAlgorithm="SHA256")
    message = pointing(STORE.bucket, "payloads/foreign", str(len(body)))
    message.attributes["colour"] = ("String", "blau")
    record = sqs_record(message.queued())
    record["messageAttributes"]["stamp"] = {"dataType": "Binary", "binaryValue": "AAH/"}
    assert consume.handler({"Records": [record]}, context) == SUCCESS
    summary = executions(consume)[record["messageId"]]["summary"]
    assert (summary["sha256"], summary["proved_by"]) == (hashlib.sha256(body).hexdigest(), "size")
    assert summary["attributes"] == {"colour": "blau"}


def test_log_and_metrics_of_each_record(
    consume: ModuleType, publish: Publish, context: SimpleNamespace, listen: Listen
) -> None:
    message = publish(b"fine", message_id="fine")
    telemetry = listen(consume)
    consume.handler({"Records": [sqs_record(message), sqs_record(UNTRUSTED)]}, context)
    fine, failed = telemetry.lines()
    assert (fine["message"], fine["message_id"]) == ("handed off", "fine")
    assert fine["application"].endswith(":fine")
    assert (failed["level"], failed["exception_name"]) == ("ERROR", "UntrustedStore")
    assert (failed["sqs_message_id"], failed.get("message_id")) == (UNTRUSTED["MessageId"], None)
    metrics = telemetry.metrics()
    assert metrics["UntrustedStore"] == [1]
    assert metrics["ConsumedBytes"] == [4]
    assert metrics["ProcessingTime"][0] > 0
    assert SECONDS_IN_QUEUE * 1000 <= metrics["DeliveryLatency"][0] < (SECONDS_IN_QUEUE + 60) * 1000


def test_stale_replica_is_counted(
    load: Load,
    settings: Settings,
    machine: StateMachineSettings,
    publish: Publish,
    context: SimpleNamespace,
    listen: Listen,
) -> None:
    message = publish(b"\x00", message_id="new")
    store_outdated_replica("new", 1)
    consume = load(replace(settings, trusted_stores=(REPLICATED,)), machine)
    telemetry = listen(consume)
    assert consume.handler({"Records": [sqs_record(message)]}, context) == SUCCESS
    assert_stale_replica_is_counted(telemetry, "new")


def test_slow_record_leaves_time_for_those_after_it(consume: ModuleType, context: SimpleNamespace) -> None:
    """Each record has an equal share of the time that remains when its turn comes."""
    shares: list[int] = []
    now = {"left": 300_000}
    context.get_remaining_time_in_millis = lambda: now["left"]
    records = [sqs_record({"MessageId": name, "Body": name}) for name in ("a", "b", "c")]

    def consume_slowly(message: object, remaining_ms: Callable[[], int]) -> None:
        shares.append(remaining_ms())
        now["left"] -= remaining_ms()

    vars(consume)["consumer"] = SimpleNamespace(consume=consume_slowly)
    consume.handler({"Records": records}, context)
    assert shares == [100_000, 100_000, 100_000]
