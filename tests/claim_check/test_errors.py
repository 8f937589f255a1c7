"""What errors say, word for word: they are read in logs and dead-letter queues, by people who cannot ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    Attribute,
    ClaimCheckError,
    Dereferencer,
    Entry,
    InvalidMessage,
    MalformedMessage,
    PayloadConflict,
    PayloadCorrupt,
    PayloadMissing,
    PayloadTooLarge,
    PayloadUnavailable,
    Pointer,
    Publisher,
    Replica,
    S3Object,
    Store,
    offload,
)
from claim_check.publishing import offload as offloading_module
from tests.claim_check.conftest import TOPIC
from tests.claim_check.deliveries import DELIVERIES, NotedSns
from tests.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


LARGE = bytes(6 * 2**20)


def said(call: Callable[[], object]) -> str:
    with pytest.raises(ClaimCheckError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("ClaimCheck", "x", "this name is reserved for pointers to stored payloads; choose another"),
        (
            "a b",
            "x",
            "a name has 1 to 256 of A-Z a-z 0-9 _ - and single inner dots, and does not start with 'AWS.' or 'Amazon.'",
        ),
        ("a", "", "SNS refuses an empty value; leave the attribute out"),
        ("a", "\x00", "its text holds a character that SNS refuses (a control character or half a surrogate pair)"),
        ("a", Attribute("Number", "one"), "'one' is not a number"),
        (
            "a",
            Attribute("Text", "x"),
            "data type 'Text' is not String, Number, Binary or String.Array (with a suffix or not)",
        ),
        ("a", Attribute("Binary", "x"), "a Binary cannot hold str: Binary holds bytes, all others text"),
    ],
)
def test_of_an_attribute(name: str, value: Any, sentence: str, publisher: Publisher) -> None:
    assert said(lambda: publisher.publish("x", attributes={name: value})) == f"attribute {name!r}: {sentence}"


def test_of_a_value_that_is_no_attribute(publisher: Publisher) -> None:
    wrong: Any = {"a": [1]}
    assert said(lambda: publisher.publish("x", attributes=wrong)) == (
        "an attribute cannot be this list: pass str, bytes or a number SNS can hold"
    )


def test_of_an_id(publisher: Publisher) -> None:
    assert said(lambda: publisher.publish("x", message_id="a b")) == (
        "message_id 'a b' is not 1 to 64 of A-Z a-z 0-9 . _ - (and not '.' or '..'): pass a digest of it, for example "
        "hashlib.sha256(…).hexdigest()"
    )


def test_of_what_a_topic_does_not_take(publisher: Publisher) -> None:
    assert said(lambda: publisher.publish("x", deduplication_id="d")) == (
        "deduplication_id: only a FIFO topic takes one; leave it out"
    )
    ten = {f"a{number}": "x" for number in range(10)}
    assert said(lambda: publisher.publish("x", message_id="m", attributes=ten)) == (
        "attributes: 10 are more than 9 (the ClaimCheck attribute takes one; a message has 10) (message 'm')"
    )
    del ten["a9"]
    assert said(lambda: publisher.publish(b"\x00", message_id="m", attributes=ten)) == (
        "attributes: 9 are more than 8 (with an offloaded payload two of ours travel along; a message has 10) "
        "(message 'm')"
    )


def test_of_what_a_fifo_topic_does_not_take(store: Store, sns: NotedSns) -> None:
    fifo = Publisher(topic_arn=f"{TOPIC}.fifo", store=store, sns=sns.client())
    assert said(lambda: fifo.publish("x")) == (
        "group_id: a FIFO topic needs one; messages of the same group stay in order"
    )
    sentence = "must be 1 to 128 printable ASCII characters without blanks"
    assert said(lambda: fifo.publish("x", group_id="a b")) == f"group_id = 'a b': {sentence}"
    assert said(lambda: fifo.publish("x", group_id="g", deduplication_id="")) == f"deduplication_id = '': {sentence}"


def test_of_a_message_that_differs_by_protocol(publisher: Publisher) -> None:
    wrong: Any = {"MessageStructure": "json"}
    assert said(lambda: publisher.publish("{}", **wrong)) == (
        "MessageStructure: a message that differs by protocol has no one payload to offload or to digest; publish one "
        "payload, or call SNS yourself for such messages"
    )


def test_of_attributes_that_leave_a_pointer_no_room(publisher: Publisher) -> None:
    body = Pointer("payloads-one", "payloads/m").body()
    claim = '{"id":"m","sha256":"' + "0" * 64 + '"}'
    others = len(body + "ExtendedPayloadSize" + "Number" + str(10**13) + "ClaimCheck" + "String" + claim)
    room = 262_144 - others - len("a" + "String")
    assert publisher.publish(b"\x00", message_id="m", attributes={"a": "x" * room}).pointer
    assert said(lambda: publisher.publish(b"\x00", message_id="m", attributes={"a": "x" * (room + 1)})) == (
        "attributes: with a pointer they make 262145 bytes, more than 262144: move some into the payload (message 'm')"
    )


def test_of_a_pointer_that_is_none(dereferencer: Dereferencer) -> None:
    def sentence(body: str) -> str:
        marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "3"}}
        return said(lambda: dereferencer.message({"MessageId": "m", "Body": body, "MessageAttributes": marker}))

    assert sentence("x" * 16_385) == "the body is marked as a pointer but has 16385 characters (message 'm')"
    assert sentence("x" * 16_384) == "the pointer is not JSON: Expecting value at character 0 (message 'm')"
    assert sentence("{}") == "the body is marked as a pointer but is not one (message 'm')"
    surrogate = Pointer("payloads-one", "?").body().replace("?", "\\ud800")
    assert sentence(surrogate) == "the pointer's bucket or key is not valid Unicode (message 'm')"
    too_long = "the pointer's bucket or key is empty or longer than S3 allows (message 'm')"
    wrong = [("", "k"), ("payloads-one", ""), ("b" * 256, "k"), ("payloads-one", "ä" * 512 + "k")]
    assert {sentence(Pointer(*place).body()) for place in wrong} == {too_long}
    outside = [("b" * 255, "k"), ("payloads-one", "ä" * 512)]
    assert all("outside the trusted stores" in sentence(Pointer(*place).body()) for place in outside)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (7, "the record is not a mapping of names to values"),
        ({"Sns": []}, "the record's Sns is not a mapping of names to values"),
        (
            {"body": None},
            "the record has no text in 'body': it is neither an SQS message nor an SNS notification",
        ),
        ({"body": "x"}, "the record has no usable message id, neither the sender's nor SNS's or SQS's"),
        ({"body": "x", "messageId": 7}, "the record's 'messageId' is not text"),
        ({"body": "x", "messageAttributes": []}, "the message attributes is not a mapping of names to values"),
        ({"body": "x", "messageAttributes": {"a": 1}}, "a message attribute is not a mapping of names to values"),
        (
            {"body": "x", "messageAttributes": {"a" * 300: {"dataType": "String"}}},
            f"the message attribute {'a' * 256!r} has no data type or no value",
        ),
        (
            {"body": "x", "messageAttributes": {"b" * 300: {"dataType": "Binary", "binaryValue": "?"}}},
            f"the binary message attribute {'b' * 256!r} is not base64",
        ),
    ],
)
def test_of_a_record_of_no_known_shape(record: Any, sentence: str, dereferencer: Dereferencer) -> None:
    assert said(lambda: dereferencer.message(record)) == sentence


def test_of_a_file_in_text_mode(publisher: Publisher) -> None:
    class TextFile:
        def read(self, size: int) -> str:
            return "text"

    wrong: Any = TextFile()
    assert said(lambda: publisher.publish(wrong)) == "a payload's file must be opened in binary mode: open(…, 'rb')"


def test_of_an_id_that_a_batch_has_already(publisher: Publisher) -> None:
    _, second = publisher.publish_batch([Entry(payload="a", message_id="m"), Entry(payload="b", message_id="m")])
    assert isinstance(second.error, InvalidMessage)
    assert str(second.error) == (
        "message_id: an earlier entry of the batch has it already; give every message an id of its own (message 'm')"
    )
    assert second.error.message_id == "m"
    assert second.entry.payload == "b"


def test_of_another_payload_under_the_same_id(publisher: Publisher, fake_s3: FakeS3) -> None:
    sentence = (
        "another payload is stored under this message id: give every payload an id of its own "
        "(message 'm-1', payload 's3://payloads-one/payloads/m-1')"
    )
    fake_s3.put("payloads-one", "payloads/m-1", b"another")
    assert said(lambda: publisher.publish(b"\x00", message_id="m-1")) == sentence
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    with pytest.raises(PayloadConflict) as caught:
        publisher.publish_object(S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1"), size=3, message_id="m-1")
    assert str(caught.value) == sentence
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", Pointer("payloads-one", "payloads/m-1"))


def test_of_another_writer(s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offloading_module, "_pause", 0)
    fake_s3.refuse("PUT", 409, "ConditionalRequestConflict", times=9)
    with pytest.raises(PayloadUnavailable) as caught:
        offload(b"abc", store=store, message_id="m-1", s3=s3)
    assert str(caught.value) == (
        "another writer was at the same key and left nothing there: publish again, under the same message id "
        "(message 'm-1', payload 's3://payloads-one/payloads/m-1')"
    )
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", Pointer("payloads-one", "payloads/m-1"))


@pytest.mark.parametrize(
    ("payload", "method", "on"),
    [(b"\x00", "PUT", ""), (LARGE, "POST", "uploads"), (LARGE, "PUT", "partNumber=1"), (LARGE, "POST", "uploadId")],
    ids=["small", "begin", "part", "complete"],
)
def test_of_a_payload_that_cannot_be_stored(
    payload: bytes, method: str, on: str, publisher: Publisher, fake_s3: FakeS3
) -> None:
    fake_s3.refuse(method, 500, "InternalError", times=2, on=on)
    assert said(lambda: publisher.publish(payload, message_id="m-1")) == (
        "cannot store the payload: S3 answered InternalError (message 'm-1', payload 's3://payloads-one/payloads/m-1')"
    )


@pytest.mark.parametrize(
    ("method", "action"), [("HEAD", "compare with the stored payload"), ("GET", "read the payload")]
)
def test_of_a_retry_that_cannot_compare(method: str, action: str, publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("payloads-one", "payloads/m-1", b"\x00")
    fake_s3.refuse(method, 500, "InternalError", times=2)
    code = "500" if method == "HEAD" else "InternalError"
    assert said(lambda: publisher.publish(b"\x00", message_id="m-1")) == (
        f"cannot {action}: S3 answered {code} (message 'm-1', payload 's3://payloads-one/payloads/m-1')"
    )


def test_of_an_upload_that_is_gone(publisher: Publisher) -> None:
    with pytest.raises(PayloadMissing) as caught:
        publisher.publish_object(S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1"), size=3, message_id="u-1")
    assert str(caught.value) == (
        "there is neither the uploaded object nor an earlier copy of it in the store: it was deleted, or has expired, "
        "before it was published, so upload it again (message 'u-1', payload 's3://uploads-one/outbox/a')"
    )
    assert (caught.value.message_id, caught.value.pointer) == ("u-1", Pointer("uploads-one", "outbox/a"))


@pytest.mark.parametrize(
    ("method", "action", "place"),
    [
        ("PUT", "copy the object into the store", Pointer("uploads-one", "outbox/a")),
        ("HEAD", "look for an earlier copy", Pointer("payloads-one", "payloads/u-1")),
    ],
)
def test_of_an_upload_that_cannot_be_copied(
    method: str, action: str, place: Pointer, publisher: Publisher, fake_s3: FakeS3
) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    if method == "HEAD":
        publisher.publish_object(S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1"), size=3, message_id="u-1")
    fake_s3.refuse(method, 500, "InternalError", times=2)
    with pytest.raises(PayloadUnavailable) as caught:
        publisher.publish_object(S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1"), size=3, message_id="u-1")
    code = "500" if method == "HEAD" else "InternalError"
    assert str(caught.value) == f"cannot {action}: S3 answered {code} (message 'u-1', payload '{place}')"
    assert (caught.value.message_id, caught.value.pointer) == ("u-1", place)


def test_of_a_payload_that_is_neither_text_nor_json(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    publisher.publish(b"abc\xff", message_id="m-1")
    payload = dereferencer.message(DELIVERIES["SNS event"](sns.published[0])).payload
    with pytest.raises(MalformedMessage) as text:
        payload.text()
    assert str(text.value) == "the payload is not UTF-8 at byte 3 (message 'm-1')"
    assert text.value.message_id == "m-1"
    with pytest.raises(MalformedMessage) as parsed:
        payload.json()
    assert str(parsed.value) == "the payload is not JSON: UnicodeDecodeError (message 'm-1')"
    assert parsed.value.message_id == "m-1"
    with pytest.raises(PayloadTooLarge) as large:
        payload.read(limit=3)
    assert str(large.value) == (
        "the payload has 4 bytes, more than the limit of 3: stream it (iter_chunks, open, download_to), or pass a "
        "higher limit (message 'm-1')"
    )


@pytest.mark.parametrize(
    ("method", "action"), [("HEAD", "look at the payload"), ("PUT", "copy the payload to s3://landed-one/x")]
)
def test_of_a_payload_that_cannot_be_landed(
    method: str,
    action: str,
    publisher: Publisher,
    sns: NotedSns,
    dereferencer: Dereferencer,
    s3: S3Client,
    fake_s3: FakeS3,
) -> None:
    publisher.publish(b"\x00", message_id="m-1")
    payload = dereferencer.message(DELIVERIES["SNS event"](sns.published[0])).payload
    fake_s3.refuse(method, 500, "InternalError", times=2)
    code = "500" if method == "HEAD" else "InternalError"
    assert said(lambda: payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)) == (
        f"cannot {action}: S3 answered {code} (message 'm-1', payload 's3://payloads-one/payloads/m-1')"
    )


def test_of_a_copy_whose_checksum_is_another(dereferencer: Dereferencer, s3: S3Client, fake_s3: FakeS3) -> None:
    size = 6 * 2**30
    fake_s3.objects["payloads-one", "payloads/k"] = fake_s3.stored(Zeros(size), crc64nvme="AAAAAAAAAAE=")
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": str(size)}}
    body = Pointer("payloads-one", "payloads/k").body()
    payload = dereferencer.message({"MessageId": "m-1", "Body": body, "MessageAttributes": marker}).payload
    with pytest.raises(PayloadCorrupt) as caught:
        payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)
    assert str(caught.value) == (
        "S3's CRC64NVME of the copy is not the source's (message 'm-1', payload 's3://payloads-one/payloads/k')"
    )


def test_of_other_bytes_than_were_published(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    publisher.publish(b"\x00", message_id="m-1")
    payload = dereferencer.message(DELIVERIES["SNS event"](sns.published[0])).payload
    fake_s3.put("payloads-one", "payloads/m-1", b"\x01")
    with pytest.raises(PayloadCorrupt) as caught:
        payload.read()
    assert str(caught.value) == (
        "the payload: read 1 bytes with SHA-256 4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a; the "
        "message declares 1 and 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d (message 'm-1')"
    )
    fake_s3.put("payloads-one", "payloads/m-1", b"\x01\x02")
    assert said(payload.read) == (
        "the payload has 2 bytes, the message declares 1 (message 'm-1', payload 's3://payloads-one/payloads/m-1')"
    )


def test_of_settings(store: Store) -> None:
    with pytest.raises(ValueError, match=r"^replica {'bucket': 'b'}: missing \['region'\], unknown \[\]$"):
        Replica.from_dict({"bucket": "b"})
    settings = {"bucket": store.bucket, "prefix": store.prefix, "owner": store.owner, "region": store.region}
    with pytest.raises(ValueError, match=r"^store {.*}: missing \['region'\], unknown \[\]$"):
        Store.from_dict({name: settings[name] for name in ("bucket", "prefix", "owner")})
    with pytest.raises(ValueError, match=r"missing \[\], unknown \['account'\]"):
        Store.from_dict(settings | {"account": OWNER})
