"""The redrive of a queue's messages: table, question, selection, order, and interruptions."""

import io
import json
import re
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from claim_check import Dereferencer, Store
from cli.main import main
from cli.redrive import sources
from cli.redrive.dead_letter import PERMANENT
from consume_queue.dead_letter import REASON
from local.environment import ROOT
from tests.cli.conftest import Redrive
from tests.cli.redrive.fake_aws import ACCOUNT, NORTH, WEST, Attributes, FakeAws, FakeLambda, Queue, client

NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "b5f8",
    "TopicArn": f"arn:aws:sns:{NORTH}:{ACCOUNT}:coatcheck-messages",
    "Message": "hello",
    "Timestamp": "2026-11-20T03:00:00.000Z",
    "MessageAttributes": {"ClaimCheck": {"Type": "String", "Value": '{"id":"one"}'}},
}
# ECS's description of a task, from its event.
FAILED_TASK = {
    "taskArn": f"arn:aws:ecs:{NORTH}:{ACCOUNT}:task/coatcheck-billing/1",
    "stopCode": "EssentialContainerExited",
    "stoppedReason": "Essential container in task exited",
    "containers": [{"name": "application", "exitCode": 1}],
    "overrides": {"containerOverrides": [{"environment": [{"name": "MESSAGE_ID", "value": "one"}]}]},
}


def queue_of(name: str, region: str) -> Any:
    """Return a fixture that makes a queue."""

    @pytest.fixture
    def made(aws: FakeAws) -> Queue:
        return Queue(f"coatcheck-{name}", region)

    return made


queue, dead = queue_of("orders", WEST), queue_of("orders-dead-letters", WEST)
fifo_queue, dead_fifo = queue_of("orders.fifo", WEST), queue_of("orders-dead-letters.fifo", WEST)
dead_billing = queue_of("billing-dead-letters", NORTH)


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


def before(operation: str, monkeypatch: pytest.MonkeyPatch, action: Callable[[int], object]) -> None:
    """Call `action` with the number of the request before each request of the redrive to SQS in the west."""
    sqs, numbers = client("sqs", WEST, "redrive"), count(1)
    real = getattr(sqs, operation)

    def request(**parameters: Any) -> Any:
        action(next(numbers))
        return real(**parameters)

    monkeypatch.setattr(sqs, operation, request)


def kill(number: int) -> Callable[[int], None]:
    """Return an action that kills the command at a request."""

    def action(current: int) -> None:
        if current == number:
            raise Killed

    return action


class Killed(BaseException):
    """Like SIGKILL: the product catches no such exception."""


def test_messages_are_sent_without_their_reason(
    redrive: Redrive, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}}
    stamp = {"stamp": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    dead.put("pointer", {**marker, **stamp, **because("PayloadUnavailable: S3 refused")})
    dead.put("moved by SQS", marker)
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["pointer", "moved by SQS"]
    assert [message["MessageAttributes"] for message in queue.receive()] == [{**marker, **stamp}, marker]
    assert dead.messages == []
    printed = capsys.readouterr().out
    assert "coatcheck-orders-dead-letters (us-west-2, 123456789012): 2 messages\n" in printed
    assert re.search(r"^  messages +reason +oldest +target *$", printed, re.MULTILINE)
    assert re.search(r"^  1 +PayloadUnavailable +just now +the queue coatcheck-orders *$", printed, re.MULTILINE)
    assert re.search(r"^  1 +moved by SQS +just now +the queue coatcheck-orders *$", printed, re.MULTILINE)
    assert "2 sent to the queue coatcheck-orders." in printed


@pytest.mark.parametrize("batch", [10, 1000])
def test_all_messages_are_sent_in_batches(
    redrive: Redrive, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("cli.redrive.command.BATCH", batch)
    for number in range(34):
        dead.put(str(number), because("TooBusy: not started"))
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == [str(number) for number in range(34)]
    assert dead.messages == []


def test_limit_and_dry_run_release_the_other_messages(redrive: Redrive, queue: Queue, dead: Queue) -> None:
    for number in range(15):
        dead.put(str(number))
    assert redrive("--subscriber", "orders", "--dry-run") == 0
    assert queue.bodies == []
    assert redrive("--subscriber", "orders", "--limit", "4") == 0
    assert len(queue.bodies) == 4
    assert len(dead.bodies) == 11


def test_reason_selects_its_messages_alone(
    redrive: Redrive, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    dead.put("forged", because("UntrustedStore: outside the trusted stores"))
    dead.put("late", because("PayloadUnavailable: throttled"))
    dead.put("slow", because("TooBusy: not started"))
    assert redrive("--subscriber", "orders", "--reason", "PayloadUnavailable") == 0
    assert queue.bodies == ["late"]
    assert dead.bodies == ["forged", "slow"]
    printed = capsys.readouterr().out
    assert "not sent: find out who sent the message" in printed
    assert "not sent: not selected by --reason" in printed


def test_permanent_errors_are_listed_and_not_sent(
    redrive: Redrive, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    for reason in PERMANENT:
        dead.put(reason, because(f"{reason}: details"))
    dead.put("late", because("TooBusy: not started"))
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["late"]
    assert set(dead.bodies) == set(PERMANENT)
    printed = " ".join(capsys.readouterr().out.split())
    for reason, advice in PERMANENT.items():
        assert f" 1 {reason} just now not sent: {advice[0].lower()}{advice[1:-1]} " in printed
    assert "select them with --reason NAME." in printed


def test_permanent_error_is_sent_when_it_is_selected(redrive: Redrive, queue: Queue, dead: Queue) -> None:
    dead.put("restored", because("PayloadMissing: the object does not exist"))
    dead.put("late", because("TooBusy: not started"))
    assert redrive("--subscriber", "orders", "--reason", "PayloadMissing") == 0
    assert queue.bodies == ["restored"]
    assert dead.bodies == ["late"]


def test_reason_of_a_hostile_sender_is_cut_and_printable(
    redrive: Redrive, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    dead.put("hello", because("\x9b2J\n\u202eall is [bold]well" + "." * 9_999))
    assert redrive("--subscriber", "orders", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("2J  all is [bold]well..." in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert len(lines) < 10
    assert max(map(len, lines)) < 200


def test_selected_messages_behind_many_others_are_sent(
    redrive: Redrive, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.redrive.command.BATCH", 10)
    for late in (False, True, False, True):
        for _ in range(12):
            dead.put("late" if late else "forged", because("PayloadUnavailable" if late else "UntrustedStore"))
    assert redrive("--subscriber", "orders", "--reason", "PayloadUnavailable", "--limit", "30") == 0
    assert queue.bodies == ["late"] * 12
    assert redrive("--subscriber", "orders", "--reason", "PayloadUnavailable") == 0
    assert queue.bodies == ["late"] * 24
    assert set(dead.bodies) == {"forged"}


def test_failing_message_is_sent_once(
    redrive: Redrive, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead.put("poison")
    before("send_message", monkeypatch, lambda _: dead.put("poison again"))
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["poison"]
    assert dead.bodies == ["poison again"]


def test_no_message_is_lost_when_the_command_is_killed(
    redrive: Redrive, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second message is sent and not deleted. It is sent twice, and processed once because of its id."""
    for number in range(3):
        dead.put(str(number))
    with monkeypatch.context() as patch:
        before("delete_message", patch, kill(2))
        with pytest.raises(Killed):
            redrive("--subscriber", "orders")
    assert redrive("--subscriber", "orders") == 0
    assert queue.bodies == ["0", "1", "1", "2"]
    assert dead.messages == []


def test_error_of_sqs_stops_the_redrive(
    redrive: Redrive, queue: Queue, dead: Queue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        dead.put(str(number))
    missing = partial(client("sqs", WEST).get_queue_url, QueueName="gone")
    before("send_message", monkeypatch, lambda number: missing() if number == 2 else None)
    assert redrive("--subscriber", "orders") == 1
    printed = capsys.readouterr()
    assert "1 sent to the queue coatcheck-orders." in printed.out
    assert "does not exist" in printed.err
    assert dead.bodies == ["1", "2"]


def test_fifo_order_of_each_group_is_kept(redrive_fifo: Redrive, fifo_queue: Queue, dead_fifo: Queue) -> None:
    for number in range(12):
        dead_fifo.put(str(number), because("TooBusy: not started"), group=f"group-{number % 2}")
    assert redrive_fifo("--subscriber", "orders") == 0
    for group in (0, 1):
        sent = [message.body for message in fifo_queue.messages if message.group_id == f"group-{group}"]
        assert sent == [str(number) for number in range(group, 12, 2)]
    assert dead_fifo.messages == []


def test_interrupted_message_arrives_once_in_a_fifo_queue(
    redrive_fifo: Redrive, fifo_queue: Queue, dead_fifo: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_fifo.put("one", group="group")

    with monkeypatch.context() as patch:
        before("delete_message", patch, kill(1))
        with pytest.raises(Killed):
            redrive_fifo("--subscriber", "orders")
    assert redrive_fifo("--subscriber", "orders") == 0
    assert fifo_queue.bodies == ["one"]


def test_message_does_not_overtake_an_unselected_one(
    redrive_fifo: Redrive, fifo_queue: Queue, dead_fifo: Queue
) -> None:
    for number, (group, reason) in enumerate([("a", "UntrustedStore"), ("a", "TooBusy"), ("b", "TooBusy")]):
        dead_fifo.put(str(number), because(f"{reason}: x"), group=group)
    assert redrive_fifo("--subscriber", "orders", "--reason", "TooBusy") == 0
    assert fifo_queue.bodies == ["2"]
    assert dead_fifo.bodies == ["0", "1"]


def test_message_does_not_overtake_a_permanent_error(
    redrive_fifo: Redrive, fifo_queue: Queue, dead_fifo: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, reason in enumerate(["TooBusy", "PayloadMissing", "TooBusy"]):
        dead_fifo.put(str(number), because(f"{reason}: x"), group="a")
    assert redrive_fifo("--subscriber", "orders") == 0
    assert fifo_queue.bodies == ["0"]
    assert dead_fifo.bodies == ["1", "2"]
    assert re.search(r"TooBusy +just now +not sent: an earlier message of its group", capsys.readouterr().out)


def test_undelivered_message_is_sent_to_the_subscribers_queue(redrive: Redrive, queue: Queue) -> None:
    undelivered = Queue("coatcheck-orders-undelivered", NORTH)
    attributes = {"ClaimCheck": {"DataType": "String", "StringValue": '{"id":"one"}'}}
    undelivered.put("raw", attributes)
    assert redrive("--subscriber", "orders", "--from", "undelivered") == 0
    (message,) = queue.receive()
    assert (message["Body"], message["MessageAttributes"]) == ("raw", attributes)
    assert undelivered.messages == []


def test_undelivered_notification_invokes_the_function(redrive: Redrive, lambda_: FakeLambda) -> None:
    Queue("coatcheck-billing-undelivered", NORTH).put(NOTIFICATION)
    assert redrive("--subscriber", "billing", "--from", "undelivered") == 0
    ((function, event),) = lambda_.invoked
    assert function == "coatcheck-billing-consume"
    assert event["Records"][0]["Sns"] == NOTIFICATION
    store = Store(bucket="payloads", prefix="payloads/", owner=ACCOUNT, region=NORTH)
    assert Dereferencer(stores=[store]).message(event["Records"][0]).id == "one"


def test_failed_event_invokes_its_function(
    redrive: Redrive, dead_billing: Queue, lambda_: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {"Records": [{"EventSource": "aws:sns", "Sns": NOTIFICATION}]}
    dead_billing.put(failed(event))
    # Lambda discarded it because of its age, without a response of the function.
    dead_billing.put(failed(event, requestContext={"condition": "EventAgeExceeded"}, responsePayload=None))
    assert redrive("--subscriber", "billing") == 0
    assert lambda_.invoked == [("coatcheck-billing-consume", event)] * 2
    assert dead_billing.messages == []
    printed = capsys.readouterr().out
    assert "PayloadUnavailable" in printed
    assert "EventAgeExceeded" in printed


@pytest.mark.parametrize(
    "body",
    ["not JSON", "[1]", '{"requestPayload": "text", "requestContext": {}}', '{"detail": {}}', "[" * 100_000],
    ids=lambda body: body[:20],
)
def test_message_of_unknown_form_is_listed_and_not_sent(
    redrive: Redrive, dead_billing: Queue, lambda_: FakeLambda, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    unknown = dead_billing.put(body)
    dead_billing.put(failed({"Records": []}))
    assert redrive("--subscriber", "billing") == 0
    assert [event for _, event in lambda_.invoked] == [{"Records": []}]
    assert dead_billing.bodies == [body]
    assert f"1 not sent, in coatcheck-billing-dead-letters: {unknown}\n" in capsys.readouterr().out


def test_failed_tasks_are_listed_with_the_runbook(
    redrive: Redrive,
    dead_billing: Queue,
    lambda_: FakeLambda,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The function has processed their messages. Many failed tasks do not hide an event that can be sent."""
    monkeypatch.setattr("cli.redrive.command.BATCH", 10)
    for _ in range(25):
        dead_billing.put(FAILED_TASK)
    dead_billing.put(failed({"Records": []}))
    assert redrive("--subscriber", "billing") == 0
    assert lambda_.invoked == [("coatcheck-billing-consume", {"Records": []})]
    assert [json.loads(body) for body in dead_billing.bodies] == [FAILED_TASK] * 25
    printed = capsys.readouterr().out
    target = re.escape('not sent: run the task again by hand (runbook, "Failed tasks")')
    assert re.search(rf"^  25 +EssentialContainerExited +just now +{target} *$", printed, re.MULTILINE), printed
    assert "## Failed tasks" in (ROOT / "docs" / "runbook.md").read_text()
    assert "25 not sent, in coatcheck-billing-dead-letters: " in printed


def test_redrive_ends_when_messages_become_visible_again(
    redrive: Redrive, dead_billing: Queue, lambda_: FakeLambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a queue so full that messages were held for too long when its end is reached."""
    monkeypatch.setattr(sources, "HELD_SECONDS", 0)
    dead_billing.put(FAILED_TASK)
    assert redrive("--subscriber", "billing") == 0
    assert lambda_.invoked == []
    assert len(dead_billing.bodies) == 1


def test_failed_and_rejected_events_invoke_the_publish_function(redrive: Redrive, lambda_: FakeLambda) -> None:
    dead = Queue("coatcheck-publish-dead-letters", NORTH)
    detail = {"half of a surrogate pair": "\ud83e", "infinite": float("inf")}
    event = {"id": "e1", "source": "shop", "detail-type": "order.placed", "account": "444444444444", "detail": detail}
    rejected = {
        "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        "ERROR_MESSAGE": {"DataType": "String", "StringValue": "Lambda refused"},
    }
    dead.put(failed(event))
    dead.put(event, rejected)
    dead.put(event)  # without an error of EventBridge: its sender is unknown
    assert redrive("--publisher") == 0
    assert lambda_.invoked == [("coatcheck-publish", event)] * 2
    assert len(dead.bodies) == 1


def test_credentials_of_another_account_are_rejected(redrive: Redrive, capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive("--subscriber", "elsewhere") == 1
    printed = capsys.readouterr().err
    assert "coatcheck-elsewhere-dead-letters is in account 222222222222" in printed
    assert f"are of account {ACCOUNT}" in printed


def test_missing_queue_is_reported(redrive: Redrive, capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive("--subscriber", "orders") == 1
    assert "does not exist" in capsys.readouterr().err


def test_target_queue_must_exist(redrive: Redrive, dead: Queue) -> None:
    dead.put("waits")
    assert redrive("--subscriber", "orders") == 1
    assert dead.bodies == ["waits"]


@pytest.mark.parametrize(("answer", "sent"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_redrive_asks_for_confirmation(
    redrive: Redrive,
    queue: Queue,
    dead: Queue,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    sent: bool,
) -> None:
    dead.put("one")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert redrive("--subscriber", "orders", yes=False) == (0 if sent else 1)
    assert "Send 1 message to the queue coatcheck-orders? [y/N]: " in capsys.readouterr().out
    assert (queue.bodies, dead.bodies) == ((["one"], []) if sent else ([], ["one"]))


def test_empty_queue_is_reported(
    redrive: Redrive, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redrive("--subscriber", "orders") == 0
    assert "coatcheck-orders-dead-letters (us-west-2, 123456789012) has no messages." in capsys.readouterr().out


def test_hidden_messages_are_not_reported_as_none(
    redrive: Redrive, queue: Queue, dead: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another redrive, or one that was killed, has received them."""
    dead.put("hidden")
    dead.receive()
    assert redrive("--subscriber", "orders") == 1
    printed = capsys.readouterr().out
    assert "about 1 message, and none can be read now" in printed
    assert "has no messages" not in printed


def test_default_deployment_file_is_read_from_cdk_json(
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
