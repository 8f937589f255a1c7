"""Dead letters go back: each shape to where it came from, sent before it is deleted, and only in the right account."""

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest

from claim_check import ClaimCheckError, Dereferencer, Store
from cli.__main__ import main
from cli.redrive import pile
from cli.redrive.destination import Queue
from cli.redrive.hopeless import WHAT_TO_DO
from cli.redrive.letter import REASON
from consume_queue.execution import InputTooLarge
from tests.redrive.support import ACCOUNT, DEPLOYMENT, NORTH, WEST, redrive

ROOT = Path(__file__).parents[2]
Attributes = dict[str, dict[str, Any]]
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "b5f8",
    "TopicArn": f"arn:aws:sns:{NORTH}:{ACCOUNT}:coatcheck-messages",
    "Message": "hello",
    "Timestamp": "2026-11-20T03:00:00.000Z",
    "MessageAttributes": {"ClaimCheck": {"Type": "String", "Value": '{"id":"one"}'}},
}


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """The same with FIFO queues, and so with the one subscriber that can have them."""
    path = tmp_path / "fifo.toml"
    head, orders = DEPLOYMENT.split("[[subscribers]]")[:2]
    path.write_text(f"{head}fifo = true\n[[subscribers]]{orders}")
    return path


def sqs(region: str = WEST) -> Any:
    return boto3.client("sqs", region_name=region)


def queue(name: str, region: str = WEST) -> str:
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    url: str = sqs(region).create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def put(url: str, body: object, attributes: Attributes | None = None, region: str = WEST, **order: str) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    answer = sqs(region).send_message(QueueUrl=url, MessageBody=text, MessageAttributes=attributes or {}, **order)
    found: str = answer["MessageId"]
    return found


def received(url: str, region: str = WEST) -> list[dict[str, Any]]:
    """All that others can see, in order; taken out."""
    found: list[dict[str, Any]] = []
    while (
        some := sqs(region)
        .receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"])
        .get("Messages", [])
    ):
        for each in some:
            sqs(region).delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
        found += some
    return found


def because(reason: str) -> Attributes:
    return {REASON: {"DataType": "String", "StringValue": reason}}


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Functions are there, and take what they are invoked with; moto has none without Docker."""
    found: list[tuple[str, Any]] = []

    class Lambda:
        def get_function_configuration(self, *, FunctionName: str) -> None: ...  # noqa: N803

        def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> None:  # noqa: N803
            assert InvocationType == "Event"
            found.append((FunctionName, json.loads(Payload)))

    real = boto3.Session.client

    def client(self: boto3.Session, service: str, **options: Any) -> Any:
        return Lambda() if service == "lambda" else real(self, service, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(boto3.Session, "client", client)
    return found


def test_without_a_file_it_is_the_one_that_cdk_acts_on(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name from cdk.json's folder, wherever the command is run."""
    queue("coatcheck-orders")
    queue("coatcheck-orders-dead-letters")
    cdk_json = file.with_name("cdk.json")
    monkeypatch.setattr("stacks.deployment.cdk_json.FILE", cdk_json)
    cdk_json.write_text(json.dumps({"context": {"deployment": file.name}}))
    assert main(["redrive", "--subscriber", "orders"]) == 0
    assert "coatcheck-orders-dead-letters" in capsys.readouterr().out
    cdk_json.write_text(json.dumps({"context": {}}))
    for command in (["redrive", "--subscriber", "orders"], ["access"]):
        assert main(command) == 1
        assert "cdk.json: 1 problem\n  - context.deployment: is missing" in capsys.readouterr().err


def test_the_publisher_has_one_queue(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive(file, "--publisher", "--from", "undelivered") == 1
    assert "--from undelivered: is for a subscriber" in capsys.readouterr().err


# A queue's letters ---------------------------------------------------------------------------------------------------


def test_letters_of_a_queue_go_back_as_they_were_without_their_reason(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}}
    stamp = {"stamp": {"DataType": "Binary", "BinaryValue": b"\x00\xff"}}
    put(dead, "pointer", {**marker, **stamp, **because("PayloadUnavailable: S3 said no")})
    put(dead, "moved by SQS", marker)
    assert redrive(file, "--subscriber", "orders") == 0
    first, second = received(back)
    assert {first["Body"], second["Body"]} == {"pointer", "moved by SQS"}
    (pointer,) = (each for each in (first, second) if each["Body"] == "pointer")
    assert set(pointer["MessageAttributes"]) == {"ExtendedPayloadSize", "stamp"}
    assert pointer["MessageAttributes"]["stamp"]["BinaryValue"] == b"\x00\xff"
    assert received(dead) == []
    said = capsys.readouterr().out
    assert "coatcheck-orders-dead-letters (us-west-2, 123456789012): 2 letters" in said
    assert "PayloadUnavailable" in said
    assert "given up by SQS" in said
    assert "2 sent to the queue coatcheck-orders." in said


def test_more_than_one_receive_can_give(file: Path) -> None:
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    for number in range(34):
        put(dead, str(number), because("OutOfTime: not read"))
    assert redrive(file, "--subscriber", "orders") == 0
    assert sorted(int(each["Body"]) for each in received(back)) == list(range(34))
    assert received(dead) == []


def test_more_than_is_held_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.redrive.command.AT_ONCE", 10)
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    for number in range(25):
        put(dead, str(number))
    assert redrive(file, "--subscriber", "orders") == 0
    assert len(received(back)) == 25
    assert received(dead) == []


def test_a_limit_and_a_dry_run_leave_the_rest_where_others_see_it(file: Path) -> None:
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    for number in range(15):
        put(dead, str(number))
    assert redrive(file, "--subscriber", "orders", "--dry-run") == 0
    assert received(back) == []
    assert redrive(file, "--subscriber", "orders", "--limit", "4") == 0
    assert len(received(back)) == 4
    assert len(received(dead)) == 11


def test_one_reason_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    put(dead, "forged", because("UntrustedStore: outside the trusted stores"))
    put(dead, "late", because("PayloadUnavailable: throttled"))
    assert redrive(file, "--subscriber", "orders", "--reason", "PayloadUnavailable") == 0
    assert [each["Body"] for each in received(back)] == ["late"]
    assert [each["Body"] for each in received(dead)] == ["forged"]
    assert "is left: find out who sent it" in capsys.readouterr().out


def test_what_would_fail_again_is_shown_with_what_to_do_and_not_sent(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    for reason in WHAT_TO_DO:
        put(dead, reason, because(f"{reason}: as it says"))
    put(dead, "late", because("OutOfTime: not read"))
    assert redrive(file, "--subscriber", "orders") == 0
    assert [each["Body"] for each in received(back)] == ["late"]
    said = capsys.readouterr().out
    for reason, what in WHAT_TO_DO.items():
        assert re.search(rf"^  1 +{reason} +just now +{what}$", said, flags=re.MULTILINE), said
    assert "--reason NAME sends it back" in said
    assert {each["Body"] for each in received(dead)} == set(WHAT_TO_DO)


def test_what_would_fail_again_goes_back_by_its_reason(file: Path) -> None:
    """What it pointed to is mended."""
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    put(dead, "restored", because("PayloadMissing: there is no such object"))
    put(dead, "late", because("OutOfTime: not read"))
    assert redrive(file, "--subscriber", "orders", "--reason", "PayloadMissing") == 0
    assert [each["Body"] for each in received(back)] == ["restored"]
    assert [each["Body"] for each in received(dead)] == ["late"]


def test_every_error_that_stays_has_something_to_do() -> None:
    """Permanent errors; but for what an endpoint alone raises, which has no queue that redrive reads."""

    def below(error: type[ClaimCheckError]) -> set[type[ClaimCheckError]]:
        return {error}.union(*map(below, error.__subclasses__()))

    of_library = {each for each in below(ClaimCheckError) if each.__module__ == "claim_check.errors"}
    stays = {each.__name__ for each in of_library | {InputTooLarge} if each.permanent}
    of_people = {"ABORTED"}
    assert set(WHAT_TO_DO) - of_people == stays - {"ClaimCheckError", "UntrustedNotification"}


def test_a_reason_that_a_sender_made_up_stays_in_its_column(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue("coatcheck-orders")
    put(queue("coatcheck-orders-dead-letters"), "hello", because("\x9b2J\n\u202eall is well" + "." * 9_999))
    assert redrive(file, "--subscriber", "orders", "--dry-run") == 0
    _, _, _, row, *_ = capsys.readouterr().out.splitlines()
    assert "2J  all is well..." in row
    assert row.isprintable()
    assert len(row) < 250


def test_one_reason_behind_more_of_others_than_are_held_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.redrive.command.AT_ONCE", 10)
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    for late in (False, True, False, True):
        for _ in range(12):
            put(dead, "late" if late else "forged", because("PayloadUnavailable" if late else "UntrustedStore"))
    assert redrive(file, "--subscriber", "orders", "--reason", "PayloadUnavailable", "--limit", "30") == 0
    assert [each["Body"] for each in received(back)] == ["late"] * 12
    assert redrive(file, "--subscriber", "orders", "--reason", "PayloadUnavailable") == 0
    assert [each["Body"] for each in received(back)] == ["late"] * 12
    assert {each["Body"] for each in received(dead)} == {"forged"}


def test_what_comes_back_meanwhile_waits_for_another_day(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cause that is not mended must not make it go round in circles."""
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    put(dead, "poison")
    send = Queue.send

    def send_and_fail_again(self: Queue, letter: Any) -> None:
        send(self, letter)
        put(dead, "poison again")

    monkeypatch.setattr(Queue, "send", send_and_fail_again)
    assert redrive(file, "--subscriber", "orders") == 0
    assert len(received(back)) == 1
    assert [each["Body"] for each in received(dead)] == ["poison again"]


class Killed(BaseException):
    """As SIGKILL would: nothing of ours may catch it."""


def test_killed_between_sending_and_deleting_it_is_sent_again_and_nothing_is_lost(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    sent = [put(dead, str(number)) for number in range(3)]
    send, seen = Queue.send, []

    def send_and_die(self: Queue, letter: Any) -> None:
        send(self, letter)
        seen.append(letter.body)
        if len(seen) == 2:
            raise Killed

    monkeypatch.setattr(Queue, "send", send_and_die)
    with pytest.raises(Killed):
        redrive(file, "--subscriber", "orders")
    monkeypatch.setattr(Queue, "send", send)
    assert redrive(file, "--subscriber", "orders") == 0
    bodies = [each["Body"] for each in received(back)]
    # One twice: its message id makes one of it.
    assert sorted(bodies) == sorted(["0", "1", "2", seen[1]])
    assert received(dead) == []
    assert len(sent) == 3


def test_a_refusal_stops_and_says_how_far_it_came(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    queue("coatcheck-orders")
    dead = queue("coatcheck-orders-dead-letters")
    for number in range(3):
        put(dead, str(number))
    send, seen = Queue.send, []

    def refuse_the_second(self: Queue, letter: Any) -> None:
        seen.append(letter)
        if len(seen) == 2:
            self._sqs.send_message(QueueUrl=self._url + "-gone", MessageBody="x")
        send(self, letter)

    monkeypatch.setattr(Queue, "send", refuse_the_second)
    assert redrive(file, "--subscriber", "orders") == 1
    said = capsys.readouterr()
    assert "1 sent" in said.out
    assert "does not exist" in said.err
    assert len(received(dead)) == 2


# Order ---------------------------------------------------------------------------------------------------------------


def test_in_a_fifo_queue_the_order_of_each_group_is_kept(fifo: Path) -> None:
    back, dead = queue("coatcheck-orders.fifo"), queue("coatcheck-orders-dead-letters.fifo")
    for number in range(12):
        order = {"MessageGroupId": f"group-{number % 2}", "MessageDeduplicationId": f"d{number}"}
        put(dead, str(number), because("OutOfTime: not read"), **order)
    assert redrive(fifo, "--subscriber", "orders") == 0
    found = received(back)
    for group in ("group-0", "group-1"):
        bodies = [int(each["Body"]) for each in found if each["Attributes"]["MessageGroupId"] == group]
        assert bodies == sorted(bodies)
        assert len(bodies) == 6
    assert received(dead) == []


def test_sent_twice_by_an_interruption_is_one_message_to_a_fifo_queue(
    fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, dead = queue("coatcheck-orders.fifo"), queue("coatcheck-orders-dead-letters.fifo")
    put(dead, "one", MessageGroupId="group", MessageDeduplicationId="d")
    send = Queue.send

    def send_and_die(self: Queue, letter: Any) -> None:
        send(self, letter)
        raise Killed

    monkeypatch.setattr(Queue, "send", send_and_die)
    with pytest.raises(Killed):
        redrive(fifo, "--subscriber", "orders")
    monkeypatch.setattr(Queue, "send", send)
    assert redrive(fifo, "--subscriber", "orders") == 0
    assert [each["Body"] for each in received(back)] == ["one"]


def test_what_follows_one_that_is_left_does_not_overtake_it(fifo: Path) -> None:
    back, dead = queue("coatcheck-orders.fifo"), queue("coatcheck-orders-dead-letters.fifo")
    for number, (group, reason) in enumerate(
        [("a", "UntrustedStore: x"), ("a", "OutOfTime: x"), ("b", "OutOfTime: x")]
    ):
        put(dead, str(number), because(reason), MessageGroupId=group, MessageDeduplicationId=f"d{number}")
    assert redrive(fifo, "--subscriber", "orders", "--reason", "OutOfTime") == 0
    assert [each["Body"] for each in received(back)] == ["2"]
    assert [each["Body"] for each in received(dead)] == ["0", "1"]


def test_what_follows_one_that_would_fail_again_does_not_overtake_it_either(
    fifo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    back, dead = queue("coatcheck-orders.fifo"), queue("coatcheck-orders-dead-letters.fifo")
    for number, reason in enumerate(["OutOfTime", "PayloadMissing", "OutOfTime"]):
        put(dead, str(number), because(f"{reason}: x"), MessageGroupId="a", MessageDeduplicationId=f"d{number}")
    assert redrive(fifo, "--subscriber", "orders") == 0
    assert [each["Body"] for each in received(back)] == ["0"]
    assert [each["Body"] for each in received(dead)] == ["1", "2"]
    assert re.search(r"OutOfTime +just now +is left behind one of its message group", capsys.readouterr().out)


# What SNS could not deliver ------------------------------------------------------------------------------------------


def test_what_sns_could_not_deliver_to_a_queue_goes_there_from_the_topics_region(file: Path) -> None:
    back, undelivered = queue("coatcheck-orders"), queue("coatcheck-orders-undelivered", NORTH)
    put(undelivered, "raw", {"ClaimCheck": {"DataType": "String", "StringValue": '{"id":"one"}'}}, region=NORTH)
    assert redrive(file, "--subscriber", "orders", "--from", "undelivered") == 0
    (message,) = received(back)
    assert (message["Body"], set(message["MessageAttributes"])) == ("raw", {"ClaimCheck"})
    assert received(undelivered, NORTH) == []


def test_what_sns_could_not_deliver_to_a_function_is_an_event_of_one_record(
    file: Path, invoked: list[tuple[str, Any]]
) -> None:
    put(queue("coatcheck-billing-undelivered", NORTH), NOTIFICATION, region=NORTH)
    assert redrive(file, "--subscriber", "billing", "--from", "undelivered") == 0
    ((function, event),) = invoked
    assert function == "coatcheck-billing-consume"
    assert event["Records"][0]["Sns"] == NOTIFICATION
    store = Store(bucket="payloads", prefix="payloads/", owner=ACCOUNT, region=NORTH)
    assert Dereferencer(stores=[store]).message(event["Records"][0]).id == "one"


# A function's letters ------------------------------------------------------------------------------------------------


def failed(event: object, **more: object) -> dict[str, object]:
    return {
        "version": "1.0",
        "requestContext": {"functionArn": "arn:…", "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorType": "PayloadUnavailable", "errorMessage": "throttled"},
        **more,
    }


def test_a_failed_event_invokes_its_function_again(
    file: Path, invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    dead = queue("coatcheck-billing-dead-letters", NORTH)
    event = {"Records": [{"EventSource": "aws:sns", "Sns": NOTIFICATION}]}
    put(dead, failed(event), region=NORTH)
    # Given up for its age, before the function said anything.
    put(dead, failed(event, requestContext={"condition": "EventAgeExceeded"}, responsePayload=None), region=NORTH)
    assert redrive(file, "--subscriber", "billing") == 0
    assert invoked == [("coatcheck-billing-consume", event)] * 2
    assert received(dead, NORTH) == []
    said = capsys.readouterr().out
    assert "PayloadUnavailable" in said
    assert "EventAgeExceeded" in said


@pytest.mark.parametrize(
    "body", ["not JSON", "[1]", '{"requestPayload": "text", "requestContext": {}}', '{"detail": {}}']
)
def test_what_has_no_known_shape_is_left_and_named(
    file: Path, invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], body: str
) -> None:
    dead = queue("coatcheck-billing-dead-letters", NORTH)
    strange = put(dead, body, region=NORTH)
    put(dead, failed({"Records": []}), region=NORTH)
    assert redrive(file, "--subscriber", "billing") == 0
    assert [event for _, event in invoked] == [{"Records": []}]
    assert [each["Body"] for each in received(dead, NORTH)] == [body]
    assert f"1 left in coatcheck-billing-dead-letters: {strange}" in capsys.readouterr().out


# As the rule of stacks/subscriber/ecs_task.py puts it.
FAILED_TASK = {
    "failed_task": f"arn:aws:ecs:{NORTH}:{ACCOUNT}:task/coatcheck-billing/1",
    "stop_code": "EssentialContainerExited",
    "stopped_reason": "Essential container in task exited",
    "containers": [{"name": "application", "exitCode": 1}],
    "overrides": {"containerOverrides": [{"environment": [{"name": "MESSAGE_ID", "value": "one"}]}]},
}


def test_a_task_that_failed_is_left_and_the_runbook_is_named(
    file: Path, invoked: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message counts as handed on. However many there are, what can be sent back behind them is."""
    monkeypatch.setattr("cli.redrive.command.AT_ONCE", 10)
    dead = queue("coatcheck-billing-dead-letters", NORTH)
    for _ in range(25):
        put(dead, FAILED_TASK, region=NORTH)
    put(dead, failed({"Records": []}), region=NORTH)
    assert redrive(file, "--subscriber", "billing") == 0
    assert invoked == [("coatcheck-billing-consume", {"Records": []})]
    assert [json.loads(each["Body"]) for each in received(dead, NORTH)] == [FAILED_TASK] * 25
    said = capsys.readouterr().out
    place = 'is run again by hand: "When a task fails" in the runbook'
    assert re.search(rf"EssentialContainerExited +just now +{place}\n", said), said
    assert "## When a task fails" in (ROOT / "docs" / "runbook.md").read_text()
    assert "25 left in coatcheck-billing-dead-letters: " in said


def test_it_ends_although_what_was_left_is_seen_again(
    file: Path, invoked: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a queue so full that letters were held too long when its end is reached."""
    monkeypatch.setattr(pile, "HELD_SECONDS", 0)
    dead = queue("coatcheck-billing-dead-letters", NORTH)
    put(dead, FAILED_TASK, region=NORTH)
    assert redrive(file, "--subscriber", "billing") == 0
    assert invoked == []
    assert len(received(dead, NORTH)) == 1


def test_letters_of_the_publish_function_of_both_kinds(file: Path, invoked: list[tuple[str, Any]]) -> None:
    dead = queue("coatcheck-publish-dead-letters", NORTH)
    event = {"id": "e1", "source": "shop", "detail-type": "order.placed", "account": "444444444444", "detail": {"n": 1}}
    untaken = {
        "ERROR_CODE": {"DataType": "String", "StringValue": "NO_PERMISSIONS"},
        "ERROR_MESSAGE": {"DataType": "String", "StringValue": "Lambda refused"},
    }
    put(dead, failed(event), region=NORTH)
    put(dead, event, untaken, region=NORTH)
    put(dead, event, region=NORTH)  # nobody says why: somebody else put it there
    assert redrive(file, "--publisher") == 0
    assert invoked == [("coatcheck-publish", event)] * 2
    assert len(received(dead, NORTH)) == 1


# Before anything happens ---------------------------------------------------------------------------------------------


def test_another_accounts_credentials_are_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert redrive(file, "--subscriber", "elsewhere") == 1
    said = capsys.readouterr().err
    assert "coatcheck-elsewhere-dead-letters is in account 222222222222" in said
    assert f"are of account {ACCOUNT}" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--subscriber", "nobody"], "'nobody' is no subscriber of this deployment; there are: orders, billing"),
        (["--subscriber", "orders", "--from", "pipeline"], "'orders' is no subscriber that feeds a pipeline"),
        (["--subscriber", "partner", "--from", "undelivered"], "its own process takes it from there"),
        (["--subscriber", "orders"], "does not exist"),  # nothing is deployed
    ],
)
def test_what_is_not_there_is_said(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    assert redrive(file, *arguments) == 1
    assert expected in capsys.readouterr().err


def test_a_queue_to_go_back_to_has_to_be_there_first(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = queue("coatcheck-orders-dead-letters")
    put(dead, "waits")
    assert redrive(file, "--subscriber", "orders") == 1
    assert len(received(dead)) == 1


@pytest.mark.parametrize(("answer", "sent"), [("y", 1), ("n", 0), ("", 0), (EOFError(), 0)])
def test_it_asks(file: Path, monkeypatch: pytest.MonkeyPatch, answer: str | Exception, sent: int) -> None:
    back, dead = queue("coatcheck-orders"), queue("coatcheck-orders-dead-letters")
    put(dead, "one")

    def ask(question: str) -> str:
        assert question == "Send 1 back? [y/N] "
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("builtins.input", ask)
    status = main(["redrive", "--deployment", str(file), "--subscriber", "orders"])
    assert status == (0 if sent else 1)
    assert (len(received(back)), len(received(dead))) == (sent, 1 - sent)


def test_an_empty_queue_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue("coatcheck-orders")
    queue("coatcheck-orders-dead-letters")
    assert redrive(file, "--subscriber", "orders") == 0
    assert "has no letters." in capsys.readouterr().out


def test_it_is_held_long_enough() -> None:
    """A second a letter, at the very worst, for all that are held at once: they are nobody else's meanwhile."""
    assert pile.AT_ONCE <= 1.2 * pile.HELD_SECONDS
