"""The consume function of an SQS subscriber: the batch record by record, and dead letters with their reason."""

import hashlib
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from claim_check import Publisher, Store
from tests.lambdas.conftest import INBOX, STORE, environment, received, sqs_record, subscribed_topic

ROLE = "arn:aws:iam::123456789012:role/states"
POISON: dict[str, Any] = {
    "MessageId": "poison",
    "Body": '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"a-stranger","s3Key":"secret"}]',
    "MessageAttributes": {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}},
}


@pytest.fixture
def dead_letters(aws: None, queue: Callable[[str], str]) -> str:
    return queue("dead-letters")


@pytest.fixture
def state_machine(aws: None) -> str:
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    return boto3.client("stepfunctions").create_state_machine(name="orders", definition=definition, roleArn=ROLE)[
        "stateMachineArn"
    ]


@pytest.fixture
def consume(load: Callable[..., ModuleType], dead_letters: str, state_machine: str) -> ModuleType:
    return load(
        "consume_queue",
        STATE_MACHINE_ARN=state_machine,
        DEAD_LETTER_QUEUE_URL=dead_letters,
        MAXIMUM_RECEIVES="5",
        **environment(),
    )


@pytest.fixture
def publish(aws: None, queue: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """Publishes a payload; answers the SQS message that the subscriber receives."""
    url = queue("delivered")
    publisher = Publisher(topic_arn=subscribed_topic(url), store=Store.from_dict(STORE))

    def publish(payload: bytes, **options: Any) -> dict[str, Any]:
        publisher.publish(payload, **options)
        (message,) = received(url)
        boto3.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return message

    return publish


def executions(state_machine: str) -> dict[str, dict[str, Any]]:
    """Inputs by execution name."""
    states = boto3.client("stepfunctions")
    return {
        each["name"]: json.loads(states.describe_execution(executionArn=each["executionArn"])["input"])
        for each in states.list_executions(stateMachineArn=state_machine)["executions"]
    }


def test_an_offloaded_payload_is_handed_on_as_its_pointer(
    consume: ModuleType, publish: Callable[..., Any], state_machine: str, context: SimpleNamespace
) -> None:
    message = publish(b"x" * 300_000, message_id="large", attributes={"colour": "red"})
    assert consume.handler({"Records": [sqs_record(message)]}, context) == {"batchItemFailures": []}
    assert executions(state_machine)["large"] == {
        "message_id": "large",
        "pointer": {
            "bucket": STORE["bucket"],
            "key": "payloads/large",
            "owner": STORE["owner"],
            "region": STORE["region"],
        },
        "summary": {
            "bytes": 300_000,
            "sha256": hashlib.sha256(b"x" * 300_000).hexdigest(),
            "subject": None,
            "attributes": {"colour": "red"},
        },
    }


def test_an_inline_payload_is_put_into_the_inbox_and_never_into_the_input(
    consume: ModuleType, publish: Callable[..., Any], state_machine: str, context: SimpleNamespace
) -> None:
    message = publish(b"small and private", message_id="small")
    consume.handler({"Records": [sqs_record(message)]}, context)
    handed = executions(state_machine)["small"]
    assert handed["pointer"]["bucket"] == INBOX["bucket"]
    assert "small and private" not in json.dumps(handed)
    stored = boto3.client("s3").get_object(Bucket=handed["pointer"]["bucket"], Key=handed["pointer"]["key"])
    assert stored["Body"].read() == b"small and private"


def test_a_message_delivered_twice_starts_one_execution(
    consume: ModuleType, publish: Callable[..., Any], state_machine: str, context: SimpleNamespace
) -> None:
    record = sqs_record(publish(b"once", message_id="once"))
    for _ in range(2):
        assert consume.handler({"Records": [record]}, context) == {"batchItemFailures": []}
    assert list(executions(state_machine)) == ["once"]


def test_a_poison_record_is_dead_lettered_with_its_reason_and_its_neighbours_go_on(
    consume: ModuleType, publish: Callable[..., Any], state_machine: str, dead_letters: str, context: SimpleNamespace
) -> None:
    records = [
        sqs_record(publish(b"before", message_id="before")),
        sqs_record(POISON),
        sqs_record(publish(b"after", message_id="after")),
    ]
    assert consume.handler({"Records": records}, context) == {"batchItemFailures": []}
    assert sorted(executions(state_machine)) == ["after", "before"]
    (dead,) = received(dead_letters)
    assert dead["Body"] == POISON["Body"]
    assert dead["MessageAttributes"]["ExtendedPayloadSize"]["StringValue"] == "7"
    assert dead["MessageAttributes"]["DeadLetterReason"]["StringValue"].startswith("UntrustedStore: ")


def test_an_expired_pointer_is_dead_lettered_with_that_reason(
    consume: ModuleType, publish: Callable[..., Any], dead_letters: str, context: SimpleNamespace
) -> None:
    message = publish(b"x" * 300_000, message_id="late")
    boto3.client("s3").delete_object(Bucket=STORE["bucket"], Key="payloads/late")
    assert consume.handler({"Records": [sqs_record(message)]}, context) == {"batchItemFailures": []}
    (dead,) = received(dead_letters)
    assert dead["MessageAttributes"]["DeadLetterReason"]["StringValue"].startswith("PayloadMissing: ")


def test_what_may_pass_is_tried_again_until_its_last_receive(
    consume: ModuleType,
    publish: Callable[..., Any],
    state_machine: str,
    dead_letters: str,
    context: SimpleNamespace,
) -> None:
    message = publish(b"unlucky", message_id="unlucky")
    boto3.client("stepfunctions").delete_state_machine(stateMachineArn=state_machine)
    failed = consume.handler({"Records": [sqs_record(message, receives=4)]}, context)
    assert failed == {"batchItemFailures": [{"itemIdentifier": message["MessageId"]}]}
    assert received(dead_letters) == []
    assert consume.handler({"Records": [sqs_record(message, receives=5)]}, context) == {"batchItemFailures": []}
    (dead,) = received(dead_letters)
    assert dead["MessageAttributes"]["DeadLetterReason"]["StringValue"].startswith("StateMachineDoesNotExist: ")


def test_a_record_with_no_room_for_a_reason_is_left_to_sqs(
    consume: ModuleType, dead_letters: str, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS takes ten attributes and refuses an eleventh; moto does not, so the refusal is played."""
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}}
    poison = {"MessageId": "full", "Body": "x", "MessageAttributes": marker}

    def refuse(**_: Any) -> None:
        raise consume.sqs.exceptions.ClientError(
            {"Error": {"Code": "InvalidParameterValue", "Message": "10 attributes at most"}}, "SendMessage"
        )

    monkeypatch.setattr(consume.sqs, "send_message", refuse)
    failed = consume.handler({"Records": [sqs_record(poison)]}, context)
    assert failed == {"batchItemFailures": [{"itemIdentifier": "full"}]}


def test_in_a_fifo_queue_the_rest_of_a_failed_group_waits(
    consume: ModuleType,
    publish: Callable[..., Any],
    state_machine: str,
    context: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    messages = [publish(name.encode(), message_id=name) for name in ("first", "second", "third")]
    records = [sqs_record(message, queue="queue.fifo") for message in messages]
    records[2]["attributes"]["MessageGroupId"] = "another group"
    start = consume.states.start_execution

    def start_but_the_first(**request: Any) -> Any:
        if request["name"] == "first":
            raise consume.states.exceptions.ClientError({"Error": {"Code": "Throttled"}}, "StartExecution")
        return start(**request)

    monkeypatch.setattr(consume.states, "start_execution", start_but_the_first)
    failed = consume.handler({"Records": records}, context)
    assert [each["itemIdentifier"] for each in failed["batchItemFailures"]] == [
        messages[0]["MessageId"],
        messages[1]["MessageId"],
    ]
    # The second would have succeeded, and must not overtake the first; another group goes on.
    assert list(executions(state_machine)) == ["third"]


def test_a_dead_letter_of_a_fifo_queue_keeps_its_group_and_its_binary_attributes(
    load: Callable[..., ModuleType], state_machine: str, context: SimpleNamespace, aws: None
) -> None:
    sqs = boto3.client("sqs")
    dead_letters = sqs.create_queue(QueueName="dead-letters.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    consume = load(
        "consume_queue",
        STATE_MACHINE_ARN=state_machine,
        DEAD_LETTER_QUEUE_URL=dead_letters,
        MAXIMUM_RECEIVES="5",
        **environment(),
    )
    poison = sqs_record(POISON, queue="queue.fifo")
    poison["messageAttributes"]["stamp"] = {"dataType": "Binary", "binaryValue": "AAH/"}
    poison["attributes"]["MessageGroupId"] = "group-7"
    assert consume.handler({"Records": [poison]}, context) == {"batchItemFailures": []}
    answer = sqs.receive_message(QueueUrl=dead_letters, MessageAttributeNames=["All"], AttributeNames=["All"])
    (dead,) = answer["Messages"]
    assert dead["Attributes"]["MessageGroupId"] == "group-7"
    # SQS's own id: a message that is sent back and fails again at once is no duplicate.
    assert dead["Attributes"]["MessageDeduplicationId"] == POISON["MessageId"]
    assert dead["MessageAttributes"]["stamp"]["BinaryValue"] == b"\x00\x01\xff"


def test_another_payload_under_the_same_id_is_no_repetition(
    consume: ModuleType, publish: Callable[..., Any], state_machine: str, dead_letters: str, context: SimpleNamespace
) -> None:
    first, second = publish(b"first", message_id="order-1"), publish(b"x" * 300_000, message_id="order-1")
    for message in (first, second):
        assert consume.handler({"Records": [sqs_record(message)]}, context) == {"batchItemFailures": []}
    assert executions(state_machine)["order-1"]["summary"]["bytes"] == 5
    (dead,) = received(dead_letters)
    assert dead["MessageAttributes"]["DeadLetterReason"]["StringValue"].startswith("PayloadConflict: ")


def test_what_runs_out_of_time_fails_alone(
    consume: ModuleType, publish: Callable[..., Any], state_machine: str, context: SimpleNamespace
) -> None:
    quick, slow, late = (
        publish(b"quick", message_id="quick"),
        publish(b"x" * (3 * 2**20), message_id="slow"),
        publish(b"late", message_id="late"),
    )
    # Time passes with every look at the clock: enough for the first, not for all of the second.
    clock = iter([60_000, 50_000, 40_000, 20_000, 9_000, 8_000, 7_000])
    context.get_remaining_time_in_millis = lambda: next(clock)
    failed = consume.handler({"Records": [sqs_record(m) for m in (quick, slow, late)]}, context)
    assert [each["itemIdentifier"] for each in failed["batchItemFailures"]] == [slow["MessageId"], late["MessageId"]]
    assert list(executions(state_machine)) == ["quick"]


def test_a_foreign_publishers_message_is_digested_here(
    consume: ModuleType, state_machine: str, context: SimpleNamespace
) -> None:
    body = b"by another client" * 20_000
    boto3.client("s3").put_object(Bucket=STORE["bucket"], Key="payloads/foreign", Body=body)
    message: dict[str, Any] = {
        "MessageId": "0b9b9b9b-0000-4000-8000-000000000001",
        "Body": '["software.amazon.payloadoffloading.PayloadS3Pointer",'
        f'{{"s3BucketName":"{STORE["bucket"]}","s3Key":"payloads/foreign"}}]',
        "MessageAttributes": {
            "ExtendedPayloadSize": {"DataType": "Number", "StringValue": str(len(body))},
            "colour": {"DataType": "String", "StringValue": "blau"},
        },
    }
    record = sqs_record(message)
    record["messageAttributes"]["stamp"] = {"dataType": "Binary", "binaryValue": "AAH/"}
    assert consume.handler({"Records": [record]}, context) == {"batchItemFailures": []}
    summary = executions(state_machine)[message["MessageId"]]["summary"]
    assert summary["sha256"] == hashlib.sha256(body).hexdigest()
    assert summary["attributes"] == {"colour": "blau"}
