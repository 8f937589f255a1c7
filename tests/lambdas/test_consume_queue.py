"""The consume function of an SQS subscriber: the batch record by record, and dead letters with their reason."""

import hashlib
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from claim_check import Publisher, Store
from consume_queue.execution import RESERVED_BYTES
from tests.lambdas.bad_messages import BAD, store_a_payload
from tests.lambdas.conftest import STAGING_STORE, STORE, environment, received, sqs_record, subscribed_topic

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


def in_inbox() -> dict[str, bytes]:
    """Payloads by key."""
    s3 = boto3.client("s3")
    found = s3.list_objects_v2(Bucket=STAGING_STORE["bucket"]).get("Contents", [])
    return {
        each["Key"]: s3.get_object(Bucket=STAGING_STORE["bucket"], Key=each["Key"])["Body"].read() for each in found
    }


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
    assert handed["pointer"]["bucket"] == STAGING_STORE["bucket"]
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


def test_whatever_is_wrong_is_dead_lettered_as_it_came_and_nothing_is_done_with_it(
    consume: ModuleType, state_machine: str, dead_letters: str, context: SimpleNamespace, subtests: pytest.Subtests
) -> None:
    store_a_payload()
    neighbour = sqs_record({"MessageId": "neighbour", "Body": "good"})
    for what, bad in BAD.items():
        with subtests.test(what):
            failed = consume.handler({"Records": [sqs_record(bad.queued()), neighbour]}, context)
            assert failed == {"batchItemFailures": []}
            (dead,) = received(dead_letters)
            boto3.client("sqs").delete_message(QueueUrl=dead_letters, ReceiptHandle=dead["ReceiptHandle"])
            reason = dead["MessageAttributes"].pop("DeadLetterReason")["StringValue"]
            assert reason.startswith(f"{bad.error}: ")
            assert {key: dead[key] for key in ("Body", "MessageAttributes")} == {
                key: bad.queued()[key] for key in ("Body", "MessageAttributes")
            }
    assert list(executions(state_machine)) == ["neighbour"]
    assert in_inbox() == {"inline/neighbour": b"good"}


def test_a_message_without_attributes_is_its_own_payload_whatever_it_is(
    consume: ModuleType, state_machine: str, context: SimpleNamespace
) -> None:
    bodies = {"a": "", "b": "{", "c": "null", "d": '{"Type":"Notification"}', "e": '["x",{}]', "f": "["}
    records = [sqs_record({"MessageId": name, "Body": body}) for name, body in bodies.items()]
    assert consume.handler({"Records": records}, context) == {"batchItemFailures": []}
    assert in_inbox() == {f"inline/{name}": body.encode() for name, body in bodies.items()}
    assert {name: given["summary"]["bytes"] for name, given in executions(state_machine).items()} == {
        name: len(body) for name, body in bodies.items()
    }


def test_attributes_that_no_execution_can_be_given_are_told_at_once(
    consume: ModuleType, state_machine: str, dead_letters: str, context: SimpleNamespace
) -> None:
    def message(name: str, length: int) -> dict[str, Any]:
        novel = {"DataType": "String", "StringValue": "x" * length}
        return {"MessageId": name, "Body": "good", "MessageAttributes": {"novel": novel}}

    consume.handler({"Records": [sqs_record(message("most", 0))]}, context)
    others = len(json.dumps(executions(state_machine)["most"]))
    room = 253_952 - others
    records = [sqs_record(message("full", room)), sqs_record(message("more", room + 1))]
    assert consume.handler({"Records": records}, context) == {"batchItemFailures": []}
    assert set(executions(state_machine)) == {"most", "full"}
    (dead,) = received(dead_letters)
    assert len(dead["MessageAttributes"]["novel"]["StringValue"]) == room + 1
    assert dead["MessageAttributes"]["DeadLetterReason"]["StringValue"] == (
        "InputTooLarge: subject and attributes make an execution's input of 253953 bytes, more than 253952: "
        "move some into the payload (message 'more')"
    )


def test_there_is_room_for_what_states_add_to_an_input() -> None:
    """`landed` and `fan_out` with the longest names that AWS takes, in the event that tells of them."""
    bucket, key, machine = "b" * 63, "k" * 1024, f"arn:aws:states:us-gov-west-1:{'1' * 12}:stateMachine:{'m' * 80}"
    place = {"bucket": bucket, "key": key, "owner": "1" * 12, "region": "us-gov-west-1"}
    landed = {**place, "bytes": 10**15, "sha256": "f" * 64}
    where = {"Bucket": bucket, "Key": key}
    fan_out = {"MapRunArn": f"{machine}/{'l' * 80}:{'u' * 36}", "ResultWriterDetails": where}
    told = {"Detail": {"landed": landed, "fan_out": fan_out}, "DetailType": "d" * 128, "EventBusName": machine}
    entries = {"Entries": [{**told, "Source": "s" * 256, "Resources": [machine, machine]}]}
    assert len(json.dumps(entries)) < RESERVED_BYTES


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


@pytest.mark.parametrize(("attributes", "body", "has_room"), [(9, 3, True), (10, 3, False), (1, 2**20 - 40, False)])
def test_a_record_with_no_room_for_a_reason_is_left_to_sqs(
    consume: ModuleType,
    dead_letters: str,
    context: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    attributes: int,
    body: int,
    has_room: bool,
) -> None:
    """SQS takes ten attributes and a MiB, and refuses more; moto does not, so the refusal is played. SQS then moves the
    record itself, after its last receive."""
    send = consume.sqs.send_message

    def send_as_sqs(**message: Any) -> None:
        sent = message["MessageAttributes"]
        texts = [f"{name}{value['DataType']}{value['StringValue']}" for name, value in sent.items()]
        if len(sent) > 10 or len(message["MessageBody"] + "".join(texts)) > 2**20:
            error = {"Error": {"Code": "InvalidParameterValue", "Message": "10 attributes, a MiB"}}
            raise consume.sqs.exceptions.ClientError(error, "SendMessage")
        send(**message)

    monkeypatch.setattr(consume.sqs, "send_message", send_as_sqs)
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}}
    others = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(1, attributes)}
    poison = {"MessageId": "full", "Body": "x" * body, "MessageAttributes": marker | others}
    for receives in (1, 5):
        failed = consume.handler({"Records": [sqs_record(poison, receives=receives)]}, context)
        assert failed == {"batchItemFailures": [] if has_room else [{"itemIdentifier": "full"}]}
    assert len(received(dead_letters)) == (2 if has_room else 0)


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
