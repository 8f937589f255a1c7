"""The redrive of a queue's messages: table, question, selection, order, and interruptions."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from claim_check import Dereferencer, Store
from cli.main import main
from cli.redrive import sources
from cli.redrive.dead_letter import PERMANENT, REASON
from tests.cli.redrive.conftest import Redrive
from tests.cli.redrive.fake_aws import ACCOUNT, NORTH, WEST, Attributes, FakeAws, FakeLambda, FakeSqs, Queue

ROOT = Path(__file__).parents[3]
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "b5f8",
    "TopicArn": f"arn:aws:sns:{NORTH}:{ACCOUNT}:coatcheck-messages",
    "Message": "hello",
    "Timestamp": "2026-11-20T03:00:00.000Z",
    "MessageAttributes": {"ClaimCheck": {"Type": "String", "Value": '{"id":"one"}'}},
}
# The form that stacks/subscriber/ecs_task.py writes.
FAILED_TASK = {
    "failed_task": f"arn:aws:ecs:{NORTH}:{ACCOUNT}:task/coatcheck-billing/1",
    "stop_code": "EssentialContainerExited",
    "stopped_reason": "Essential container in task exited",
    "containers": [{"name": "application", "exitCode": 1}],
    "overrides": {"containerOverrides": [{"environment": [{"name": "MESSAGE_ID", "value": "one"}]}]},
}


@pytest.fixture
def west(aws: FakeAws) -> FakeSqs:
    return aws.sqs[WEST]


@pytest.fixture
def north(aws: FakeAws) -> FakeSqs:
    return aws.sqs[NORTH]


@pytest.fixture
def queue(west: FakeSqs) -> Queue:
    return west.create("coatcheck-orders")


@pytest.fixture
def dead(west: FakeSqs) -> Queue:
    return west.create("coatcheck-orders-dead-letters")


@pytest.fixture
def fifo_queue(west: FakeSqs) -> Queue:
    return west.create("coatcheck-orders.fifo")


@pytest.fixture
def dead_fifo(west: FakeSqs) -> Queue:
    return west.create("coatcheck-orders-dead-letters.fifo")


@pytest.fixture
def dead_billing(north: FakeSqs) -> Queue:
    return north.create("coatcheck-billing-dead-letters")


def because(reason: str) -> Attributes:
    return {REASON: {"DataType": "String", "StringValue": reason}}


def failed(event: object, **fields: object) -> dict[str, object]:
    return {
        "version": "1.0",
        "requestContext": {"functionArn": "arn:…", "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorType": "PayloadUnavailable", "errorMessage": "throttled"},
        **fields,
    }


def before_send(sqs: FakeSqs, monkeypatch: pytest.MonkeyPatch, action: Callable[[int], object]) -> None:
    """Call `action` with the number of the message before each message is sent."""
    real, numbers = sqs.send_message, iter(range(1, 1000))

    def send(**parameters: Any) -> None:
        action(next(numbers))
        real(**parameters)

    monkeypatch.setattr(sqs, "send_message", send)


class Killed(BaseException):
    """Like SIGKILL: the product catches no such exception."""


# A queue's messages --------------------------------------------------------------------------------------------------


def test_messages_are_sent_without_their_reason(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}}
    stamp = {"stamp": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    west.put(dead, "pointer", {**marker, **stamp, **because("PayloadUnavailable: S3 refused")})
    west.put(dead, "moved by SQS", marker)
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["pointer", "moved by SQS"]
    assert queue.messages[0].attributes == {**marker, **stamp}
    assert dead.messages == []
    printed = capsys.readouterr().out
    assert "coatcheck-orders-dead-letters (us-west-2, 123456789012): 2 messages\n" in printed
    assert re.search(r"^  messages +reason +oldest +target *$", printed, re.MULTILINE)
    assert re.search(r"^  1 +PayloadUnavailable +just now +the queue coatcheck-orders *$", printed, re.MULTILINE)
    assert re.search(r"^  1 +moved by SQS +just now +the queue coatcheck-orders *$", printed, re.MULTILINE)
    assert "2 sent to the queue coatcheck-orders." in printed


@pytest.mark.parametrize("batch", [10, 1000])
def test_all_messages_are_sent_in_batches(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("cli.redrive.command.BATCH", batch)
    for number in range(34):
        west.put(dead, str(number), because("OutOfTime: not read"))
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == [str(number) for number in range(34)]
    assert dead.messages == []


def test_limit_and_dry_run_release_the_other_messages(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue
) -> None:
    for number in range(15):
        west.put(dead, str(number))
    assert redrive("--subscriber", "orders", "--dry-run") == 0
    assert queue.bodies == []
    assert redrive("--subscriber", "orders", "--limit", "4") == 0
    assert len(queue.bodies) == 4
    assert len(dead.bodies) == 11


def test_reason_selects_its_messages_alone(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    west.put(dead, "forged", because("UntrustedStore: outside the trusted stores"))
    west.put(dead, "late", because("PayloadUnavailable: throttled"))
    west.put(dead, "slow", because("OutOfTime: not read"))
    assert redrive("--subscriber", "orders", "--reason", "PayloadUnavailable") == 0
    assert queue.bodies == ["late"]
    assert dead.bodies == ["forged", "slow"]
    printed = capsys.readouterr().out
    assert "not sent: find out who sent the message" in printed
    assert "not sent: not selected by --reason" in printed


def test_permanent_errors_are_listed_and_not_sent(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    for reason in PERMANENT:
        west.put(dead, reason, because(f"{reason}: details"))
    west.put(dead, "late", because("OutOfTime: not read"))
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["late"]
    assert set(dead.bodies) == set(PERMANENT)
    printed = capsys.readouterr().out
    for reason, advice in PERMANENT.items():
        target = f"not sent: {advice[0].lower()}{advice[1:-1]}"
        assert re.search(rf"^  1 +{reason} +just now +{target} *$", printed, flags=re.MULTILINE), printed
    assert "select them with --reason NAME." in printed


def test_permanent_error_is_sent_when_it_is_selected(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue
) -> None:
    west.put(dead, "restored", because("PayloadMissing: the object does not exist"))
    west.put(dead, "late", because("OutOfTime: not read"))
    assert redrive("--subscriber", "orders", "--reason", "PayloadMissing") == 0
    assert queue.bodies == ["restored"]
    assert dead.bodies == ["late"]


def test_reason_of_a_hostile_sender_is_cut_and_printable(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    west.put(dead, "hello", because("\x9b2J\n\u202eall is [bold]well" + "." * 9_999))
    assert redrive("--subscriber", "orders", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("2J  all is [bold]well..." in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert len(lines) < 10
    assert max(map(len, lines)) < 200


def test_selected_messages_behind_many_others_are_sent(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.redrive.command.BATCH", 10)
    for late in (False, True, False, True):
        for _ in range(12):
            west.put(dead, "late" if late else "forged", because("PayloadUnavailable" if late else "UntrustedStore"))
    assert redrive("--subscriber", "orders", "--reason", "PayloadUnavailable", "--limit", "30") == 0
    assert queue.bodies == ["late"] * 12
    assert redrive("--subscriber", "orders", "--reason", "PayloadUnavailable") == 0
    assert queue.bodies == ["late"] * 24
    assert set(dead.bodies) == {"forged"}


def test_message_that_fails_again_is_not_sent_again(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    west.put(dead, "poison")
    before_send(west, monkeypatch, lambda _: west.put(dead, "poison again", seconds_ago=-1))
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["poison"]
    assert dead.bodies == ["poison again"]


def test_no_message_is_lost_when_the_command_is_killed(
    redrive: Redrive, west: FakeSqs, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second message is sent and not deleted. It is sent twice, and processed once because of its id."""
    for number in range(3):
        west.put(dead, str(number))
    delete = west.delete_message

    def die_at_the_second(**parameters: Any) -> None:
        if parameters["receipt_handle"] == "id-2":
            raise Killed
        delete(**parameters)

    with monkeypatch.context() as patch:
        patch.setattr(west, "delete_message", die_at_the_second)
        with pytest.raises(Killed):
            redrive("--subscriber", "orders")
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["0", "1", "1", "2"]
    assert dead.messages == []


def test_error_of_sqs_stops_the_redrive(
    redrive: Redrive,
    west: FakeSqs,
    queue: Queue,
    dead: Queue,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in range(3):
        west.put(dead, str(number))
    before_send(west, monkeypatch, lambda number: west.get_queue_url(queue_name="gone") if number == 2 else None)
    assert redrive("--subscriber", "orders") == 1
    printed = capsys.readouterr()
    assert "1 sent to the queue coatcheck-orders." in printed.out
    assert "does not exist" in printed.err
    assert dead.bodies == ["1", "2"]


# Order ---------------------------------------------------------------------------------------------------------------


def test_fifo_order_of_each_group_is_kept(
    redrive_fifo: Redrive, west: FakeSqs, fifo_queue: Queue, dead_fifo: Queue
) -> None:
    for number in range(12):
        west.put(dead_fifo, str(number), because("OutOfTime: not read"), group=f"group-{number % 2}")
    assert redrive_fifo("--subscriber", "orders") == 0
    for group in (0, 1):
        sent = [message.body for message in fifo_queue.messages if message.group == f"group-{group}"]
        assert sent == [str(number) for number in range(group, 12, 2)]
    assert dead_fifo.messages == []


def test_interrupted_message_arrives_once_in_a_fifo_queue(
    redrive_fifo: Redrive, west: FakeSqs, fifo_queue: Queue, dead_fifo: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    west.put(dead_fifo, "one", group="group")

    def die(**_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(west, "delete_message", die)
        with pytest.raises(Killed):
            redrive_fifo("--subscriber", "orders")
    assert redrive_fifo("--subscriber", "orders") == 0
    assert fifo_queue.bodies == ["one"]


def test_message_does_not_overtake_one_that_is_not_selected(
    redrive_fifo: Redrive, west: FakeSqs, fifo_queue: Queue, dead_fifo: Queue
) -> None:
    for number, (group, reason) in enumerate([("a", "UntrustedStore"), ("a", "OutOfTime"), ("b", "OutOfTime")]):
        west.put(dead_fifo, str(number), because(f"{reason}: x"), group=group)
    assert redrive_fifo("--subscriber", "orders", "--reason", "OutOfTime") == 0
    assert fifo_queue.bodies == ["2"]
    assert dead_fifo.bodies == ["0", "1"]


def test_message_does_not_overtake_a_permanent_error(
    redrive_fifo: Redrive,
    west: FakeSqs,
    fifo_queue: Queue,
    dead_fifo: Queue,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, reason in enumerate(["OutOfTime", "PayloadMissing", "OutOfTime"]):
        west.put(dead_fifo, str(number), because(f"{reason}: x"), group="a")
    assert redrive_fifo("--subscriber", "orders") == 0
    assert fifo_queue.bodies == ["0"]
    assert dead_fifo.bodies == ["1", "2"]
    assert re.search(r"OutOfTime +just now +not sent: behind a message of its group", capsys.readouterr().out)


# Undelivered messages ------------------------------------------------------------------------------------------------


def test_undelivered_message_is_sent_to_the_subscribers_queue(redrive: Redrive, north: FakeSqs, queue: Queue) -> None:
    undelivered = north.create("coatcheck-orders-undelivered")
    attributes = {"ClaimCheck": {"DataType": "String", "StringValue": '{"id":"one"}'}}
    north.put(undelivered, "raw", attributes)
    assert redrive("--subscriber", "orders", "--from", "undelivered") == 0
    (message,) = queue.messages
    assert (message.body, message.attributes) == ("raw", attributes)
    assert undelivered.messages == []


def test_undelivered_notification_invokes_the_function(redrive: Redrive, north: FakeSqs, lambda_: FakeLambda) -> None:
    north.put(north.create("coatcheck-billing-undelivered"), NOTIFICATION)
    assert redrive("--subscriber", "billing", "--from", "undelivered") == 0
    ((function, event),) = lambda_.invoked
    assert function == "coatcheck-billing-consume"
    assert event["Records"][0]["Sns"] == NOTIFICATION
    store = Store(bucket="payloads", prefix="payloads/", owner=ACCOUNT, region=NORTH)
    assert Dereferencer(stores=[store]).message(event["Records"][0]).id == "one"


# A function's events -------------------------------------------------------------------------------------------------


def test_failed_event_invokes_its_function(
    redrive: Redrive,
    north: FakeSqs,
    dead_billing: Queue,
    lambda_: FakeLambda,
    capsys: pytest.CaptureFixture[str],
) -> None:
    event = {"Records": [{"EventSource": "aws:sns", "Sns": NOTIFICATION}]}
    north.put(dead_billing, failed(event))
    # Lambda discarded it because of its age, without a response of the function.
    north.put(dead_billing, failed(event, requestContext={"condition": "EventAgeExceeded"}, responsePayload=None))
    assert redrive("--subscriber", "billing") == 0
    assert lambda_.invoked == [("coatcheck-billing-consume", event)] * 2
    assert dead_billing.messages == []
    printed = capsys.readouterr().out
    assert "PayloadUnavailable" in printed
    assert "EventAgeExceeded" in printed


@pytest.mark.parametrize(
    "body", ["not JSON", "[1]", '{"requestPayload": "text", "requestContext": {}}', '{"detail": {}}']
)
def test_message_of_unknown_form_is_listed_and_not_sent(
    redrive: Redrive,
    north: FakeSqs,
    dead_billing: Queue,
    lambda_: FakeLambda,
    capsys: pytest.CaptureFixture[str],
    body: str,
) -> None:
    unknown = north.put(dead_billing, body)
    north.put(dead_billing, failed({"Records": []}))
    assert redrive("--subscriber", "billing") == 0
    assert [event for _, event in lambda_.invoked] == [{"Records": []}]
    assert dead_billing.bodies == [body]
    assert f"1 not sent, in coatcheck-billing-dead-letters: {unknown}\n" in capsys.readouterr().out


def test_failed_tasks_are_listed_with_the_runbook(
    redrive: Redrive,
    north: FakeSqs,
    dead_billing: Queue,
    lambda_: FakeLambda,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The function has processed their messages. Many failed tasks do not hide an event that can be sent."""
    monkeypatch.setattr("cli.redrive.command.BATCH", 10)
    for _ in range(25):
        north.put(dead_billing, FAILED_TASK)
    north.put(dead_billing, failed({"Records": []}))
    assert redrive("--subscriber", "billing") == 0
    assert lambda_.invoked == [("coatcheck-billing-consume", {"Records": []})]
    assert [json.loads(body) for body in dead_billing.bodies] == [FAILED_TASK] * 25
    printed = capsys.readouterr().out
    target = re.escape('not sent: run the task again by hand (runbook, "Failed tasks")')
    assert re.search(rf"^  25 +EssentialContainerExited +just now +{target} *$", printed, re.MULTILINE), printed
    assert "## Failed tasks" in (ROOT / "docs" / "runbook.md").read_text()
    assert "25 not sent, in coatcheck-billing-dead-letters: " in printed


def test_redrive_ends_when_messages_become_visible_again(
    redrive: Redrive,
    north: FakeSqs,
    dead_billing: Queue,
    lambda_: FakeLambda,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a queue so full that messages were held for too long when its end is reached."""
    monkeypatch.setattr(sources, "HELD_SECONDS", 0)
    north.put(dead_billing, FAILED_TASK)
    assert redrive("--subscriber", "billing") == 0
    assert lambda_.invoked == []
    assert len(dead_billing.bodies) == 1


def test_failed_and_rejected_events_invoke_the_publish_function(
    redrive: Redrive, north: FakeSqs, lambda_: FakeLambda
) -> None:
    dead = north.create("coatcheck-publish-dead-letters")
    event = {"id": "e1", "source": "shop", "detail-type": "order.placed", "account": "444444444444", "detail": {"n": 1}}
    rejected = {
        "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        "ERROR_MESSAGE": {"DataType": "String", "StringValue": "Lambda refused"},
    }
    north.put(dead, failed(event))
    north.put(dead, event, rejected)
    north.put(dead, event)  # without an error of EventBridge: its sender is unknown
    assert redrive("--publisher") == 0
    assert lambda_.invoked == [("coatcheck-publish", event)] * 2
    assert len(dead.bodies) == 1


# Before the first message --------------------------------------------------------------------------------------------


def test_credentials_of_another_account_are_rejected(redrive: Redrive, capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive("--subscriber", "elsewhere") == 1
    printed = capsys.readouterr().err
    assert "coatcheck-elsewhere-dead-letters is in account 222222222222" in printed
    assert f"are of account {ACCOUNT}" in printed


def test_missing_queue_is_reported(redrive: Redrive, capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive("--subscriber", "orders") == 1
    assert "does not exist" in capsys.readouterr().err


def test_target_queue_must_exist(redrive: Redrive, west: FakeSqs, dead: Queue) -> None:
    west.put(dead, "waits")
    assert redrive("--subscriber", "orders") == 1
    assert dead.bodies == ["waits"]


@pytest.mark.parametrize(("answer", "sent"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_redrive_asks_for_confirmation(
    redrive: Redrive,
    west: FakeSqs,
    queue: Queue,
    dead: Queue,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    sent: bool,
) -> None:
    west.put(dead, "one")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert redrive("--subscriber", "orders", yes=False) == (0 if sent else 1)
    assert "Send 1 message to the queue coatcheck-orders? [y/N]: " in capsys.readouterr().out
    assert (queue.bodies, dead.bodies) == ((["one"], []) if sent else ([], ["one"]))


def test_empty_queue_is_reported(
    redrive: Redrive, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redrive("--subscriber", "orders") == 0
    assert "coatcheck-orders-dead-letters (us-west-2, 123456789012) has no messages." in capsys.readouterr().out


def test_default_deployment_file_is_that_of_cdk_json(
    file: Path, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path in cdk.json is relative to the folder of cdk.json."""
    cdk_json = file.with_name("cdk.json")
    monkeypatch.setattr("stacks.deployment.cdk_json.FILE", cdk_json)
    cdk_json.write_text(json.dumps({"context": {"deployment": file.name}}))
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["redrive", "--subscriber", "orders"])
    assert "coatcheck-orders-dead-letters" in capsys.readouterr().out
    cdk_json.write_text(json.dumps({"context": {}}))
    for command in (["redrive", "--subscriber", "orders"], ["access"]):
        with pytest.raises(SystemExit, match=r"^2$"):
            main(command)
        assert "cdk.json: 1 problem\n  - context.deployment: is missing" in capsys.readouterr().err


# With moto -----------------------------------------------------------------------------------------------------------


def test_redrive_between_queues_of_moto(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another implementation of SQS, behind boto3's own clients."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_CA_BUNDLE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    file.write_text(
        file.read_text()
        .partition('[[subscribers]]\nname = "billing"')[0]
        .replace("[publisher]", "[publisher]\nfifo = true")
    )
    with mock_aws():
        sqs: Any = boto3.client("sqs", region_name=WEST)
        fifo = {"FifoQueue": "true"}
        queue = sqs.create_queue(QueueName="coatcheck-orders.fifo", Attributes=fifo)["QueueUrl"]
        dead = sqs.create_queue(QueueName="coatcheck-orders-dead-letters.fifo", Attributes=fifo)["QueueUrl"]
        stamp = {"stamp": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
        for number in range(12):
            sqs.send_message(
                QueueUrl=dead,
                MessageBody=str(number),
                MessageAttributes={**stamp, **because("OutOfTime: not read")},
                MessageGroupId=f"group-{number % 2}",
                MessageDeduplicationId=str(number),
            )
        with pytest.raises(SystemExit, match=r"^0$"):
            main(["redrive", "--deployment", str(file), "--yes", "--subscriber", "orders"])
        sent: list[Any] = []
        while some := sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
        ).get("Messages"):
            sent += some
            for message in some:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    for group in (0, 1):
        bodies = [each["Body"] for each in sent if each["Attributes"]["MessageGroupId"] == f"group-{group}"]
        assert bodies == [str(number) for number in range(group, 12, 2)]
    assert {str(each["MessageAttributes"]) for each in sent} == {str(sent[0]["MessageAttributes"])}
    assert sent[0]["MessageAttributes"]["stamp"]["BinaryValue"] == b"\x00\xff"
    assert set(sent[0]["MessageAttributes"]) == {"stamp"}
