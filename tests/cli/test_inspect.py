"""The dead letters of a deployment: each with its reason, its message, and the remedy."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from claim_check import upload_id
from cli.inspect import FAILED_TASKS, REASONS, RUNBOOK, SECTIONS
from local.environment import ROOT
from tests.cli.conftest import run
from tests.cli.redrive.fake_aws import ACCOUNT, NORTH, WEST, Attributes, FakeAws, Queue

QUEUES = {
    "coatcheck-publish-dead-letters": NORTH,
    "coatcheck-orders-dead-letters": WEST,
    "coatcheck-orders-undelivered": NORTH,
    "coatcheck-billing-dead-letters": NORTH,
    "coatcheck-billing-undelivered": NORTH,
    "coatcheck-partner-undelivered": NORTH,
}
CLAIM = {"ClaimCheck": {"DataType": "String", "StringValue": '{"id":"scan-7"}'}}
UPLOADED: Attributes = CLAIM | {
    name: {"DataType": "String", "StringValue": value}
    for name, value in {"source": "outbox", "sender": "shop", "account": "4" * 12, "outbox-key": "shop/a.tiff"}.items()
}
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "0" * 8,
    "TopicArn": f"arn:aws:sns:{NORTH}:{ACCOUNT}:coatcheck-messages",
    "Message": "hello",
    "MessageAttributes": {
        name: {"Type": value["DataType"], "Value": value["StringValue"]} for name, value in UPLOADED.items()
    },
}
UPLOAD = {
    "id": "e-1",
    "source": "aws.s3",
    "account": ACCOUNT,
    "detail-type": "Object Created",
    "detail": {"object": {"key": "outbox/shop/b.tiff", "version-id": "v1"}, "requester": "4" * 12},
}


def _set_clock(monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """Set the clock of this machine ahead of SQS's."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(minutes=minutes)

    monkeypatch.setattr("cli.redrive.sources.datetime", Clock)


Inspect = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def queues(aws: FakeAws) -> dict[str, Queue]:
    return {name.removeprefix("coatcheck-"): Queue(name, region) for name, region in QUEUES.items()}


@pytest.fixture
def inspect(queues: dict[str, Queue], file: Path, capfd: pytest.CaptureFixture[str]) -> Inspect:
    """The command with --json. Returns the exit code and the dead letters."""

    def inspect(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        code = inspect_file(file, "--json", *arguments)
        found = json.loads(capfd.readouterr().out)
        return code, [letter for queue in found for letter in queue["dead_letters"]]

    return inspect


def inspect_file(file: Path, *arguments: str) -> int:
    return run("inspect", "--deployment", file, *arguments)


def reason(text: str) -> Attributes:
    return {"DeadLetterReason": {"DataType": "String", "StringValue": text}}


def refused(error: str) -> Attributes:
    texts = {"ERROR_CODE": error, "ERROR_MESSAGE": "the upload stays"}
    return {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}


def failed(event: object) -> dict[str, Any]:
    error = {"errorType": "TimeoutError", "errorMessage": "too slow"}
    return {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": event, "responsePayload": error}


@pytest.mark.parametrize(
    ("queue", "body", "attributes", "message_id", "sender", "upload", "remedy", "section"),
    [
        (
            "orders-dead-letters",
            "hello",
            UPLOADED | reason("PayloadMissing: the object does not exist"),
            *("scan-7", "shop, account 444444444444", "shop/a.tiff"),
            *("Ask the sender to publish the payload again.", "reasons-and-remedies"),
        ),
        (
            "orders-dead-letters",
            "hello",
            CLAIM | reason("PayloadDenied: AccessDenied"),
            *("scan-7", None, None),
            "Check permissions, credentials, KMS key, and the name and owner of the bucket. "
            "Then run: coatcheck redrive --subscriber orders",
            "reasons-and-remedies",
        ),
        (
            "orders-undelivered",
            "hello",
            CLAIM,
            *("scan-7", None, None),
            *(
                "Fix the cause. Then run: coatcheck redrive --subscriber orders --from undelivered",
                "undeliverednotempty",
            ),
        ),
        (
            "billing-dead-letters",
            failed({"Records": [{"EventSource": "aws:sns", "Sns": NOTIFICATION}]}),
            {},
            *("scan-7", "shop, account 444444444444", "shop/a.tiff"),
            *("Fix the cause. Then run: coatcheck redrive --subscriber billing", "reasons-and-remedies"),
        ),
        (
            "billing-dead-letters",
            {
                "taskArn": "arn:aws:ecs:1",
                "overrides": {"containerOverrides": [{"environment": [{"name": "MESSAGE_ID", "value": "one"}]}]},
            },
            {},
            *("one", None, None),
            *('Run the task again by hand (runbook, "Failed tasks")', "failed-tasks"),
        ),
        (
            "publish-dead-letters",
            UPLOAD,
            refused("PayloadTooLarge"),
            *(upload_id("outbox/shop/b.tiff", "v1"), "account 444444444444", "shop/b.tiff"),
            *("Raise the limit or publish the payload in smaller parts.", "reasons-and-remedies"),
        ),
        (
            "publish-dead-letters",
            failed({"id": "e-2", "source": "shop.orders", "account": "4" * 12, "detail": {"overrides": 1}}),
            {},
            *("e-2", "shop.orders, account 444444444444", None),
            *("Fix the cause. Then run: coatcheck redrive --publisher", "reasons-and-remedies"),
        ),
        (
            "partner-undelivered",
            NOTIFICATION,
            {},
            *("scan-7", "shop, account 444444444444", "shop/a.tiff"),
            *("Receive it from the queue with the server of partner", "undeliverednotempty"),
        ),
        (
            "billing-undelivered",
            "not an event",
            {},
            *(None, None, None),
            *("Its form is unknown", "undeliverednotempty"),
        ),
    ],
)
def test_dead_letter_has_message_and_remedy(
    inspect: Inspect,
    queues: dict[str, Queue],
    queue: str,
    body: object,
    attributes: Attributes,
    message_id: str | None,
    sender: str | None,
    upload: str | None,
    remedy: str,
    section: str,
) -> None:
    letter_id = queues[queue].put(body, attributes)
    _, (letter,) = inspect()
    assert (letter["id"], letter["sender"], letter["upload"]) == (letter_id, sender, upload)
    assert letter["message_id"] == (message_id or letter_id)
    assert (letter["remedy"], letter["runbook"]) == (remedy, f"docs/runbook.md#{section}")


def test_event_cannot_claim_another_sender(inspect: Inspect, queues: dict[str, Queue]) -> None:
    """An event of the publisher's bus that looks like one of a pipeline."""
    claimed = {"message_id": "m", "summary": {"attributes": {"sender": "shop", "account": "4" * 12}}}
    event = {
        "id": "e-1",
        "source": "hostile",
        "account": "9" * 12,
        "detail-type": "Payload processed",
        "detail": claimed,
    }
    queues["publish-dead-letters"].put(event, refused("InvalidMessage"))
    _, (letter,) = inspect()
    assert (letter["message_id"], letter["sender"]) == ("e-1", f"hostile, account {'9' * 12}")


@pytest.mark.parametrize("minutes", [-5, 5])
def test_dead_letters_of_another_clock_are_shown(
    inspect: Inspect, queues: dict[str, Queue], monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    _set_clock(monkeypatch, minutes)
    queues["orders-dead-letters"].put("now")
    assert len(inspect()[1]) == 1


def test_inspected_messages_stay_visible(inspect: Inspect, queues: dict[str, Queue]) -> None:
    for number in range(12):
        queues["orders-dead-letters"].put(str(number))
    _, letters = inspect("--limit", "5")
    assert len(letters) == 5
    assert len(queues["orders-dead-letters"].bodies) == 12


def test_count_is_of_the_whole_queue(queues: dict[str, Queue], file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        queues["orders-dead-letters"].put(str(number))
    inspect_file(file, "--limit", "1")
    printed = " ".join(capfd.readouterr().out.split())
    assert "coatcheck-orders-dead-letters (us-west-2, 123456789012): 3 messages, 1 shown" in printed


def test_accounts_without_credentials_are_one_line(
    inspect: Inspect, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The subscriber `elsewhere` is in another account."""
    assert inspect_file(file) == 0
    printed = capfd.readouterr().out
    assert "1 other account not read: 222222222222. Give --profile ACCOUNT=NAME.\n" in printed
    assert "coatcheck-elsewhere" not in printed
    assert inspect("--region", "us-west-2")[0] == 0
    assert inspect_file(file, "--region", "eu-west-1") == 2


def test_hostile_reason_is_printable_at_80_columns(
    queues: dict[str, Queue], file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sender = {"sender": {"DataType": "String", "StringValue": "\x9b2J[bold]me"}}
    queues["orders-dead-letters"].put("hello", CLAIM | sender | reason("\x9b2J\u202eall is [bold]well" + " x" * 9_999))
    inspect_file(file)
    printed = capfd.readouterr().out
    assert "all is [bold]well" in printed
    assert "2J[bold]me" in printed
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", printed)
    assert max(map(len, printed.splitlines())) <= 80
    assert len(printed) < 3_000


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, ["keep"]), ("n\n", 1, ["drop", "keep"])])
def test_one_dead_letter_is_deleted_when_confirmed(
    queues: dict[str, Queue], file: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: list[str]
) -> None:
    dead = queues["billing-dead-letters"]
    drop, _ = dead.put("drop"), dead.put("keep")
    monkeypatch.setattr("typer.confirm", lambda _: answer == "y\n")
    assert inspect_file(file, "--delete", drop) == code
    assert sorted(dead.bodies) == left


def test_unknown_id_deletes_nothing(queues: dict[str, Queue], file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    queues["billing-dead-letters"].put("keep")
    assert inspect_file(file, "--delete", "none", "--yes") == 1
    assert "none: is not in a queue that was read." in capfd.readouterr().err
    assert queues["billing-dead-letters"].bodies == ["keep"]


def test_runbook_has_every_section() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / RUNBOOK).read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    assert {REASONS, FAILED_TASKS, *(section for _, section in SECTIONS.values())} <= anchors
