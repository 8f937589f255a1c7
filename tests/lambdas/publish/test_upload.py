"""Publishing of an upload in the outbox, with SNS as a stub."""

import hashlib
from typing import Any

import boto3
import pytest

from claim_check import InvalidMessage, Message, PayloadMissing, PayloadTooLarge, Published
from publish.upload import PUBLISHER_SENDER, attributes_of, publish_upload
from stacks.deployment.sender import PUBLISHERS_OWN
from tests.lambdas.conftest import STORE
from tests.lambdas.publish.publishing import KEY, SENDER, Publishing, keys, upload


@pytest.fixture
def publishing(aws: None) -> Publishing:
    return Publishing()


def publish(event: dict[str, Any], publishing: Publishing, *, maximum_bytes: int = 10_000_000) -> Published | None:
    return publish_upload(
        event,
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
    assert values(message) == {
        "source": "outbox",
        "outbox-key": "shop/scan.bin",
        "account": SENDER,
        "sender": "shop",
    }
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
    with pytest.raises(InvalidMessage, match=r"stays in the outbox: attribute 'outbox-key': SNS rejects a character"):
        publish(event, publishing)
    uploaded = event["detail"]["object"]
    stored = boto3.client("s3").get_object(Bucket=STORE.bucket, Key=uploaded["key"], VersionId=uploaded["version-id"])
    assert stored["Body"].read() == b"precious"
    assert (keys("payloads/"), publishing.requests) == ([], [])


def test_metadata_become_attributes(publishing: Publishing) -> None:
    metadata = {"camera": "X-T5", "greeting": "=?UTF-8?B?R3LDvMOfZSDwn6el?="}
    publish(upload(b"x", metadata=metadata), publishing)
    (message,) = publishing.messages()
    found = values(message)
    assert {name: found[name] for name in metadata} == {"camera": "X-T5", "greeting": "Grüße 🧥"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("X-T5", "X-T5"),
        ("a=?b", "a=?b"),
        ("=?UTF-8?B?R3LDvMOfZSDwn6el?=", "Grüße 🧥"),
        ("=?UTF-8?Q?Gr=C3=BC=C3=9Fe?= =?UTF-8?Q?_aus?=", "Grüße aus"),
    ],
)
def test_metadata_are_decoded(value: str, text: str) -> None:
    assert attributes_of({"name": value}) == {"name": text}


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"sender": "orders"}, "metadata 'sender': the name is reserved; choose another"),
        ({"account": "1"}, "metadata 'account': the name is reserved"),
        ({"source": "s3"}, "metadata 'source': the name is reserved"),
        ({"detail-type": "t"}, "metadata 'detail-type': the name is reserved"),
        ({"outbox-key": "x"}, "metadata 'outbox-key': the name is reserved"),
        ({"claimcheck": "{}"}, "metadata 'claimcheck': the name is reserved"),
        ({"extendedpayloadsize": "1"}, "metadata 'extendedpayloadsize': the name is reserved"),
        ({f"m{n}": "x" for n in range(5)}, "metadata: there are 5 (m0, m1, m2, m3, m4); use at most 4"),
        ({"broken": "=?no-such-set?B?AAAA?="}, "metadata 'broken': the value is not a valid RFC 2047 encoded word"),
    ],
)
def test_unsuitable_metadata_are_rejected(metadata: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidMessage) as error:
        attributes_of(metadata)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"sender": "orders"}, "metadata 'sender'"),
        ({"a..b": "x"}, "attribute 'a..b': "),
        ({"aws.x": "x"}, "attribute 'aws.x': "),
        ({"empty": ""}, "attribute 'empty': "),
        ({"bell": "=?UTF-8?Q?=07?="}, "attribute 'bell': "),
    ],
)
def test_upload_with_unsuitable_metadata_stays(publishing: Publishing, metadata: dict[str, str], problem: str) -> None:
    """The error is permanent and names the upload, so that the dead letter tells which one to fix."""
    with pytest.raises(InvalidMessage, match="the upload stays in the outbox") as error:
        publish(upload(b"precious", metadata=metadata), publishing)
    assert problem in str(error.value)
    assert KEY in str(error.value)
    assert error.value.permanent
    assert (keys("outbox/"), keys("payloads/"), publishing.requests) == ([KEY], [], [])


def test_metadata_beyond_http_headers_are_rejected(publishing: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
    event, s3 = upload(b"precious"), boto3.client("s3")
    monkeypatch.setattr(s3, "head_object", lambda **_: {"Metadata": {}, "MissingMeta": 2})
    with pytest.raises(InvalidMessage, match="2 entries of the object's metadata do not fit"):
        publish_upload(
            event, publisher=publishing.publisher, outbox_prefix="outbox/", maximum_bytes=10, senders={}, s3=s3
        )
    assert keys("outbox/") == [KEY]


@pytest.mark.parametrize(
    ("key", "group"),
    [
        ("outbox/shop/2026/scan.bin", "shop"),
        ("outbox/my app/scan.bin", hashlib.sha256(b"my app").hexdigest()),
        ("outbox/scan.bin", hashlib.sha256(b"").hexdigest()),
    ],
)
def test_first_folder_is_the_group_in_a_fifo_topic(aws: None, key: str, group: str) -> None:
    publishing = Publishing(fifo=True)
    publish(upload(b"x", key), publishing)
    assert publishing.groups() == [group]
