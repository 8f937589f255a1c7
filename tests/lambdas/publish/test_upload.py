"""Publishing of an upload in the outbox, with SNS as a stub."""

import hashlib
import json
from typing import Any

import boto3
import pytest

from claim_check import InvalidMessage, Message, PayloadMissing, PayloadTooLarge, Published, upload_id
from publish.upload import PUBLISHER_SENDER, publish_upload
from stacks.deployment.sender import PUBLISHERS_OWN
from tests.lambdas.conftest import STORE
from tests.lambdas.publish.publishing import KEY, SENDER, Publishing, keys, upload


@pytest.fixture
def publishing(aws: None) -> Publishing:
    return Publishing()


def publish(event: dict[str, Any], publishing: Publishing, *, maximum_bytes: int = 10_000_000) -> Published | None:
    return publish_upload(
        event,
        message_id=upload_id(event["detail"]["object"]["key"], event["detail"]["object"]["version-id"]),
        publisher=publishing.publisher,
        outbox_prefix="outbox/",
        maximum_bytes=maximum_bytes,
        senders={"shop": SENDER},
        s3=boto3.client("s3"),
    )


def values(message: Message) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in message.attributes.items()}


def test_upload_is_copied_published_and_deleted(publishing: Publishing) -> None:
    body = b"\x00binary\xff" * 1000
    publish(upload(body), publishing)
    (message,) = publishing.messages()
    assert message.payload.read() == body
    assert values(message) == {"source": "outbox", "outbox-key": "shop/scan.bin", "account": SENDER, "sender": "shop"}
    assert keys("outbox/") == []


def test_empty_upload_is_an_empty_payload(publishing: Publishing) -> None:
    publish(upload(b""), publishing)
    (message,) = publishing.messages()
    assert message.payload.read() == b""
    assert keys("outbox/") == []


@pytest.mark.parametrize(
    ("key", "requester"),
    [
        ("outbox/scans/scan.bin", "111111111111"),
        ("outbox/scan.bin", "111111111111"),
        ("outbox/shop", SENDER),
        ("outbox/shop-2/scan.bin", SENDER),
        # The publisher's account can write to a sender's folder. That does not make it the sender.
        ("outbox/shop/scan.bin", "111111111111"),
    ],
)
def test_other_upload_has_the_publisher_as_sender(publishing: Publishing, key: str, requester: str) -> None:
    publish(upload(b"x", key, requester=requester), publishing)
    (message,) = publishing.messages()
    found = values(message)
    assert (found["sender"], found["account"]) == (PUBLISHER_SENDER, requester)
    assert PUBLISHER_SENDER == PUBLISHERS_OWN


def test_each_version_is_published_and_deleted(publishing: Publishing) -> None:
    """A file uploaded again under the same key, before the first was published, is another message."""
    first, second = upload(b"first"), upload(b"second")
    publish(first, publishing)
    assert keys("outbox/") == [KEY]
    publish(second, publishing)
    assert sorted(message.payload.read() for message in publishing.messages()) == [b"first", b"second"]
    assert keys("outbox/") == []


def test_published_upload_is_not_published_again(publishing: Publishing) -> None:
    event = upload(b"once")
    assert publish(event, publishing)
    assert publish(event, publishing) is None
    assert len(publishing.requests) == 1


def test_deleted_upload_without_a_copy_is_missing(publishing: Publishing) -> None:
    event = upload(b"withdrawn")
    version = event["detail"]["object"]["version-id"]
    boto3.client("s3").delete_object(Bucket=STORE.bucket, Key=KEY, VersionId=version)
    with pytest.raises(PayloadMissing, match="neither the uploaded object nor a copy"):
        publish(event, publishing)


def test_upload_over_the_maximum_stays_in_the_outbox(publishing: Publishing) -> None:
    with pytest.raises(
        PayloadTooLarge, match=r"stays in the outbox: it has 1025 bytes, and publisher.outbox.maximum_bytes is 1024"
    ) as error:
        publish(upload(bytes(1025)), publishing, maximum_bytes=1024)
    assert error.value.pointer == (STORE.bucket, KEY)
    assert (keys("outbox/"), keys("payloads/"), publishing.requests) == ([KEY], [], [])
    publish(upload(bytes(1024), "outbox/shop/fits.bin"), publishing, maximum_bytes=1024)
    assert keys("outbox/") == [KEY]
    assert len(publishing.requests) == 1


def test_upload_with_an_invalid_name_stays_in_the_outbox(publishing: Publishing) -> None:
    event = upload(b"precious", "outbox/shop/bell\x07")
    with pytest.raises(InvalidMessage, match=r"stays in the outbox: outbox-key 'shop/bell\\x07' has a control"):
        publish(event, publishing)
    uploaded = event["detail"]["object"]
    stored = boto3.client("s3").get_object(Bucket=STORE.bucket, Key=uploaded["key"], VersionId=uploaded["version-id"])
    assert stored["Body"].read() == b"precious"
    assert (keys("payloads/"), publishing.requests) == ([], [])


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("outbox/shop/../../etc/passwd", "empty step"),
        ("outbox/shop/./scan.bin", "empty step"),
        ("outbox/shop//scan.bin", "empty step"),
        ("outbox//scan.bin", "empty step"),
        ("outbox/shop/folder/", "empty step"),
        ("outbox/shop/a\\b", "a backslash"),
        ("outbox/shop/a\u202egpj.exe", "an invisible character"),
        ("outbox/shop/a\u2066b", "an invisible character"),
        ("outbox/shop/\u200b", "an invisible character"),
        ("outbox/shop/a\nb", "a line break"),
        ("outbox/shop/a\u2028b", "a line break"),
        ("outbox/shop/a\x7fb", "a control character"),
    ],
)
def test_key_with_another_meaning_is_refused(publishing: Publishing, key: str, problem: str) -> None:
    with pytest.raises(InvalidMessage, match=problem) as error:
        publish(upload(b"precious", key), publishing)
    assert "upload the object under another key" in str(error.value)
    assert publishing.requests == []


@pytest.mark.parametrize("name", ["shop/übergröße 🧥.tiff", "shop/a..b", "shop/.hidden", "shop/日本/x", "scan.bin"])
def test_usual_name_is_published(publishing: Publishing, name: str) -> None:
    publish(upload(b"x", f"outbox/{name}"), publishing)
    (message,) = publishing.messages()
    assert message.attributes["outbox-key"].value == name


@pytest.mark.parametrize("value", ["=?UTF-8?Q?a=0D=0AX-Evil:_1?=", "=?UTF-8?B?4oCo?=", "=?UTF-8?Q?=07?="])
def test_metadata_with_a_line_break_are_refused(publishing: Publishing, value: str) -> None:
    with pytest.raises(InvalidMessage, match="metadata 'kind': the value has a control character") as error:
        publish(upload(b"precious", metadata={"kind": value}), publishing)
    assert KEY in str(error.value)
    assert error.value.permanent
    assert (keys("outbox/"), keys("payloads/"), publishing.requests) == ([KEY], [], [])


TOOLS = {
    "DataSync": ("file-owner", "file-group", "file-permissions", "file-atime", "file-mtime"),
    "rclone": ("mtime", "atime", "btime", "uid", "gid", "mode"),
    "own": ("user-agent", "user-agent-id", "kind", "patient", "site"),
}


@pytest.mark.parametrize("names", TOOLS.values(), ids=TOOLS)
def test_upload_of_a_tool_is_published(publishing: Publishing, names: tuple[str, ...]) -> None:
    metadata = {name: f"{name}-value" for name in names}
    publish(upload(b"x", metadata=metadata), publishing)
    (message,) = publishing.messages()
    assert json.loads(str(values(message)["metadata"])) == metadata


def test_copy_keeps_content_type_and_encoding(publishing: Publishing) -> None:
    event = upload(b"x", ContentType="text/csv", ContentEncoding="gzip", metadata={"kind": "scan"})
    publish(event, publishing)
    (message,) = publishing.messages()
    found = values(message)
    assert (found["content-type"], found["content-encoding"], found["kind"]) == ("text/csv", "gzip", "scan")
    assert message.stored
    copy = boto3.client("s3").head_object(Bucket=STORE.bucket, Key=message.stored.key)
    assert (copy["ContentType"], copy["ContentEncoding"]) == ("text/csv", "gzip")


def test_unusual_content_type_is_no_obstacle(publishing: Publishing) -> None:
    publish(upload(b"x", ContentType="scan"), publishing)
    (message,) = publishing.messages()
    assert values(message)["content-type"] == "scan"


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:us-east-1:444444444444:key/k"},
            "is encrypted with a key of account 444444444444: upload it again without an option of encryption",
        ),
        ({"StorageClass": "GLACIER"}, "its storage class is GLACIER, from which S3 copies nothing"),
        ({"StorageClass": "DEEP_ARCHIVE"}, "its storage class is DEEP_ARCHIVE"),
    ],
)
def test_upload_beyond_the_reach_of_s3_is_refused(
    publishing: Publishing, properties: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InvalidMessage, match=problem):
        publish(upload(b"x", **properties), publishing)
    assert (keys("outbox/"), publishing.requests) == ([KEY], [])


def test_metadata_beyond_http_headers_are_rejected(publishing: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
    event, s3 = upload(b"precious"), boto3.client("s3")
    monkeypatch.setattr(
        s3, "head_object", lambda **_: {"ETag": "e", "ContentLength": 3, "Metadata": {}, "MissingMeta": 2}
    )
    with pytest.raises(InvalidMessage, match="2 entries of the object's metadata do not fit"):
        publish_upload(
            event,
            message_id="m-1",
            publisher=publishing.publisher,
            outbox_prefix="outbox/",
            maximum_bytes=10,
            senders={},
            s3=s3,
        )
    assert keys("outbox/") == [KEY]


@pytest.mark.parametrize(
    ("key", "requester", "group"),
    [
        ("outbox/shop/2026/scan.bin", SENDER, f"{SENDER}/outbox/shop"),
        ("outbox/shop/scan.bin", "111111111111", "111111111111/outbox/shop"),
        ("outbox/my app/scan.bin", SENDER, hashlib.sha256(f"{SENDER}/outbox/my app".encode()).hexdigest()),
        ("outbox/scan.bin", SENDER, f"{SENDER}/outbox/"),
    ],
)
def test_account_and_folder_are_the_group_in_a_fifo_topic(aws: None, key: str, requester: str, group: str) -> None:
    publishing = Publishing(fifo=True)
    publish(upload(b"x", key, requester=requester), publishing)
    assert publishing.groups() == [group]
