"""Files as messages: by the library, the outbox or the bus, and what a failure leaves to send."""

import hashlib
import io
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from claim_check import upload_id
from cli import send as module
from tests.cli.conftest import POLLED, Deployed, run, run_json
from tests.cli.redrive.fake_aws import ACCOUNT

Send = Callable[..., tuple[int, list[dict[str, Any]], str]]
LARGE = b"\x00large" * 60_000


@pytest.fixture
def send(deployed: Deployed, capfd: pytest.CaptureFixture[str]) -> Send:
    """The command with --json. Returns the exit code, what was sent, and the standard error."""
    return partial(run_json, capfd, "send", "--deployment", deployed.file)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    content = {"small.txt": b"hello", "large.bin": LARGE, "empty": b""}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    return [tmp_path / name for name in content]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_library_publishes_each_file_under_its_id(send: Send, deployed: Deployed, files: list[Path]) -> None:
    code, sent, _ = send(*files, "--id", "run", "--attribute", "kind=scan")
    assert code == 0
    assert [each["message_id"] for each in sent] == ["run-1", "run-2", "run-3"]
    assert [(each["bytes"], each["sha256"]) for each in sent] == [
        (len(data), digest(data)) for data in (b"hello", LARGE, b"")
    ]
    received = {message.id: message for message in deployed.messages()}
    assert received.keys() == {"run-1", "run-2", "run-3"}
    assert received["run-2"].payload.read() == LARGE
    attributes = {name: each.value for name, each in received["run-1"].attributes.items()}
    assert attributes == {"file": "small.txt", "kind": "scan"}


def test_standard_input_is_a_payload(send: Send, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(LARGE)))
    code, (sent,), _ = send("-")
    assert (code, sent["sha256"]) == (0, digest(LARGE))
    (message,) = deployed.messages()
    assert (message.id, message.payload.read()) == (sent["message_id"], LARGE)


def test_repetition_with_the_id_resumes(
    send: Send, deployed: Deployed, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stores no payload twice. Receivers recognise the ids."""
    small, large, empty = files
    progress = module._progress

    def interrupted(file: str) -> Any:
        if file == str(empty):
            raise KeyboardInterrupt
        return progress(file)

    monkeypatch.setattr(module, "_progress", interrupted)
    code, sent, error = send(large, empty, small)
    assert (code, len(sent)) == (130, 1)
    assert f"Not sent: {empty} {small}\n" in error
    run = sent[0]["message_id"].removesuffix("-1")
    assert f"repeat the whole command, with all files and --id {run}." in error
    monkeypatch.setattr(module, "_progress", progress)
    code, sent, _ = send(large, empty, small, "--id", run)
    assert (code, [each["message_id"] for each in sent]) == (0, [f"{run}-{number}" for number in (1, 2, 3)])
    assert len(deployed.versions(f"payloads/{run}-1")) == 1


def test_first_failure_ends_the_run(send: Send, deployed: Deployed, files: list[Path]) -> None:
    _, large, empty = files
    assert send(large, "--id", "one")[0] == 0
    code, sent, error = send(empty, "--id", "one")
    assert (code, sent) == (1, [])
    assert f"{empty}: another payload" in error
    assert len(deployed.versions("payloads/one")) == 1


def test_sender_uploads_to_its_folder(send: Send, deployed: Deployed, files: list[Path]) -> None:
    small, large, _ = files
    code, sent, _ = send(small, large, "--sender", "shop", "--attribute", "kind=scan")
    assert code == 0
    assert [each["route"] for each in sent] == ["outbox", "outbox"]
    for each, data in zip(sent, (b"hello", LARGE), strict=True):
        stored = deployed.s3.get_object(Bucket=deployed.bucket, Key=each["key"])
        assert (stored["Body"].read(), stored["Metadata"]) == (data, {"kind": "scan"})
        assert each["message_id"] == upload_id(each["key"], stored["VersionId"])
        assert each["sha256"] == digest(data)


def test_upload_in_parts_has_the_digest_of_the_file(send: Send, deployed: Deployed, files: list[Path]) -> None:
    big = files[0].with_name("big")
    big.write_bytes(b"x" * (17 * 2**20))
    _, (sent,), _ = send(big, "--sender", "shop")
    stored = deployed.s3.head_object(Bucket=deployed.bucket, Key=sent["key"])
    assert (stored["ContentLength"], stored["ETag"].strip('"')[-2:]) == (17 * 2**20, "-2")
    assert sent["message_id"] == upload_id(sent["key"], stored["VersionId"])
    assert sent["sha256"] == digest(big.read_bytes())


def test_too_large_upload_is_not_sent(send: Send, deployed: Deployed, files: list[Path]) -> None:
    files[0].write_bytes(b"x" * 20_000_001)
    code, sent, error = send(files[0], "--sender", "shop")
    assert (code, sent) == (1, [])
    assert "it has 20000001 bytes, and publisher.outbox.maximum_bytes is 20000000" in error
    assert deployed.versions("outbox/") == []


def test_too_large_stream_is_not_sent(send: Send, deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is not known before. The publish function would refuse the upload."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"x" * 20_000_001)))
    code, sent, error = send("-", "--sender", "shop")
    assert (code, sent) == (1, [])
    assert "-: it has over 20000000 bytes, and publisher.outbox.maximum_bytes is 20000000" in error
    assert deployed.versions("outbox/") == []
    assert "Uploads" not in deployed.s3.list_multipart_uploads(Bucket=deployed.bucket)


def test_upload_with_a_refused_name_is_not_sent(send: Send, deployed: Deployed, tmp_path: Path) -> None:
    name = "back\\slash"
    (tmp_path / name).write_bytes(b"data")
    code, sent, error = send(tmp_path / name, "--sender", "shop")
    assert (code, sent) == (1, [])
    assert f"outbox-key {f'shop/{name}'!r} has" in error
    assert deployed.versions("outbox/") == []


def test_bus_sends_compact_json(
    send: Send, deployed: Deployed, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []

    def put(**arguments: Any) -> Any:
        calls.append(arguments)
        return SimpleNamespace(message_id="e-1", key=None)

    monkeypatch.setattr("claim_check.send", put)
    files[0].write_text('{\n  "größe": 42\n}')
    code, (sent,), _ = send(
        files[0], "--sender", "shop", "--route", "bus", "--source", "shop.orders", "--detail-type", "Order placed"
    )
    assert (code, sent["message_id"]) == (0, "e-1")
    assert sent["sha256"] == digest('{"größe":42}'.encode())
    (call,) = calls
    assert (call["source"], call["detail_type"], call["detail"]) == ("shop.orders", "Order placed", {"größe": 42})
    assert call["outbox"] == f"s3://{deployed.bucket}/outbox/shop/"


OTHER = POLLED.replace(ACCOUNT, "222222222222")


@pytest.mark.parametrize(
    ("arguments", "changed", "expected"),
    [
        ("--sender unknown", POLLED, "--sender unknown: is no sender in account 123456789012"),
        ("--route bus", POLLED, "--route bus: is for a sender's account."),
        ("--route library --sender shop", POLLED, "--route library: is for the publisher's account."),
        ("--route bus --sender shop --source a", POLLED, "--route bus: give --source and --detail-type."),
        ("--route outbox --id one", POLLED, "--id: --route outbox accepts --attribute."),
        ("--sender shop --attribute Kind=scan", POLLED, "--attribute Kind: S3 stores names in lower case."),
        ("--sender shop --attribute source=me", POLLED, "--attribute source: would be in the attribute `metadata`"),
        (
            f"--sender shop --attribute {' --attribute '.join(f'{name}=1' for name in 'abcde')}",
            POLLED,
            "--attribute a, b, c, d, e: would be in the attribute `metadata`",
        ),
        (
            "--sender shop --attribute kind=scan --attribute other=1",
            POLLED.replace("outbox.maximum", 'outbox.attributes = ["kind"]\noutbox.maximum'),
            "--attribute other: would be in the attribute `metadata`",
        ),
        ("--source a", POLLED, "--source: --route library accepts --attribute, --group, --id."),
        ("", OTHER, "account 123456789012 does not send in this deployment. Give a --profile of 222222222222."),
        ("--profile none", POLLED, "--profile none: The config profile (none) could not be found"),
        ("--attribute kind", POLLED, "'kind' must have the form NAME=VALUE"),
    ],
)
def test_unsuitable_options_send_nothing(
    send: Send, deployed: Deployed, files: list[Path], arguments: str, changed: str, expected: str
) -> None:
    deployed.file.write_text(changed)
    code, sent, error = send(files[0], *arguments.split())
    assert (code, sent) == (2, [])
    assert expected in error
    assert deployed.messages() == []


def test_plain_lines_fit_80_columns(deployed: Deployed, files: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    run("send", "--deployment", deployed.file, files[1])
    printed = capfd.readouterr()
    assert printed.err == ""
    _, message_id, sha256 = printed.out.splitlines()
    assert message_id.startswith("  id      ")
    assert sha256 == f"  sha256  {digest(LARGE)}"
