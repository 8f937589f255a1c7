"""A queue's messages as files: proved, complete, and deleted only then."""

import hashlib
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import claim_check
from claim_check import Publisher
from tests.cli.conftest import DEPLOYMENT, POLLED, Deployed, run_json
from tests.cli.redrive.fake_aws import ACCOUNT

Receive = Callable[..., tuple[int, list[dict[str, Any]], str]]
PAYLOADS = {"small": b"hello", "large": b"\x00large" * 60_000, ".dotted": b"hidden"}


@pytest.fixture
def receive(deployed: Deployed, folder: Path, capfd: pytest.CaptureFixture[str]) -> Receive:
    """The command with --json. Returns the exit code, what was received, and the standard error."""
    return partial(run_json, capfd, "receive", "--deployment", deployed.file, "--output", folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "new" / "received"


@pytest.fixture
def published(deployed: Deployed) -> None:
    publisher = Publisher(topic_arn=deployed.topic, store=deployed.store, sns=deployed.sns, s3=deployed.s3)
    for message_id, payload in PAYLOADS.items():
        publisher.publish(payload, message_id=message_id, attributes={"kind": "scan"})


def test_payloads_are_written_and_messages_deleted(
    receive: Receive, deployed: Deployed, published: None, folder: Path
) -> None:
    code, received, _ = receive()
    assert code == 0
    assert {each["message_id"]: each["sha256"] for each in received} == {
        message_id: hashlib.sha256(payload).hexdigest() for message_id, payload in PAYLOADS.items()
    }
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        "small": PAYLOADS["small"],
        "large": PAYLOADS["large"],
        "_.dotted": PAYLOADS[".dotted"],
    }
    assert all(each["attributes"] == {"kind": "scan"} for each in received)
    assert deployed.messages() == []
    assert receive()[2] == f"coatcheck-service (us-east-1, {ACCOUNT}) has no messages.\n"


def test_kept_messages_can_be_received_again(
    receive: Receive, deployed: Deployed, published: None, folder: Path
) -> None:
    for _ in range(2):
        code, received, _ = receive("--keep")
        assert (code, len(received)) == (0, 3)
    assert len(deployed.messages()) == 3
    assert len(receive("--limit", "1")[1]) == 1
    assert len(deployed.messages()) == 2


def test_message_is_received_when_it_arrives_during_the_run(
    receive: Receive, deployed: Deployed, published: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(topic_arn=deployed.topic, store=deployed.store, sns=deployed.sns, s3=deployed.s3)
    opened = claim_check.Dereferencer

    def publish_then_open(**options: Any) -> Any:
        time.sleep(0.01)  # SQS's times have milliseconds
        publisher.publish(b"late", message_id="late")
        return opened(**options)

    monkeypatch.setattr("cli.receive.Dereferencer", publish_then_open)
    code, received, _ = receive()
    assert (code, {each["message_id"] for each in received}) == (0, {*PAYLOADS, "late"})


def test_corrupt_payload_stays_in_the_queue(
    receive: Receive, deployed: Deployed, published: None, folder: Path
) -> None:
    large = PAYLOADS["large"]
    deployed.s3.put_object(Bucket=deployed.bucket, Key="payloads/large", Body=b"y" * len(large))
    code, received, error = receive()
    assert (code, {each["message_id"] for each in received}) == (1, {"small", ".dotted"})
    assert "The message stays in the queue." in error
    assert [message.id for message in deployed.messages()] == ["large"]
    assert {file.name for file in folder.iterdir()} == {"small", "_.dotted"}


def test_other_content_of_a_file_is_not_replaced(
    receive: Receive, deployed: Deployed, published: None, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / "small").write_bytes(b"mine")
    code, _, error = receive()
    assert code == 1
    assert "small exists with other content: move it away" in error
    assert (folder / "small").read_bytes() == b"mine"
    assert [message.id for message in deployed.messages()] == ["small"]


def test_forged_pointer_is_not_read(receive: Receive, deployed: Deployed, folder: Path) -> None:
    pointer = json.dumps(
        ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "other", "s3Key": "payloads/a"}]
    )
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "7"}}
    deployed.sqs.send_message(QueueUrl=deployed.queue, MessageBody=pointer, MessageAttributes=marker)
    code, received, error = receive()
    assert (code, received) == (1, [])
    assert "the pointer leads outside the trusted stores" in error
    assert list(folder.iterdir()) == []


def test_follow_receives_later_messages_until_an_interrupt(
    receive: Receive, deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(topic_arn=deployed.topic, store=deployed.store, sns=deployed.sns, s3=deployed.s3)
    monkeypatch.setattr("cli.receive._LONG_POLL_SECONDS", 1)
    shown: list[str] = []

    def show(path: Path, *_: Any, **__: Any) -> None:
        shown.append(path.name)
        if len(shown) == 3:
            raise KeyboardInterrupt
        publisher.publish(b"next", message_id=f"m-{len(shown)}")

    monkeypatch.setattr("cli.receive._show", show)
    publisher.publish(b"first", message_id="m-0")
    assert receive("--follow")[0] == 0
    assert shown == ["m-0", "m-1", "m-2"]


@pytest.mark.parametrize(
    ("arguments", "changed", "expected"),
    [
        (
            "--subscriber billing",
            POLLED,
            "has no queue, or its consume function polls it. Queues to receive from: service.",
        ),
        ("--subscriber unknown", POLLED, "--subscriber unknown: is no subscriber."),
        ("", DEPLOYMENT, 'Only a subscriber with kind = "sqs" and application = "queue" has one.'),
        ("", POLLED.replace(ACCOUNT, "2" * 12), "coatcheck-service is in account 222222222222, but the default"),
        ("--keep --follow", POLLED, "give either --keep or --follow"),
    ],
)
def test_unsuitable_options_receive_nothing(
    receive: Receive, deployed: Deployed, published: None, arguments: str, changed: str, expected: str
) -> None:
    deployed.file.write_text(changed)
    code, received, error = receive(*arguments.split())
    assert (code, received) == (2, [])
    assert expected in error
    assert len(deployed.messages()) == 3
