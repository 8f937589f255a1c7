"""What goes inline, what is offloaded, what is refused, and what is left in the store when SNS says no."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from claim_check import (
    Attribute,
    Dereferencer,
    Entry,
    InvalidMessage,
    PayloadConflict,
    PayloadMissing,
    PayloadTooLarge,
    PayloadUnavailable,
    Pointer,
    Publisher,
    S3Object,
    Store,
)
from claim_check.s3 import copy as copying_module
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient

# What ClaimCheck adds for an id of three characters: name, "String", and {"id":"…","sha256":"<64 digits>"}.
CLAIM = len("ClaimCheck") + len("String") + len('{"id":"m-1","sha256":""}') + 64
UPLOAD = S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1")


@pytest.mark.parametrize("threshold", [262_144, 1_048_576])
def test_exactly_the_threshold_is_inline_and_one_byte_more_is_not(
    threshold: int, s3: S3Client, store: Store, sns: NotedSns
) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, threshold=threshold, sns=sns.client(), s3=s3)
    room = threshold - CLAIM
    assert publisher.publish(b"x" * room, message_id="m-1").pointer is None
    assert publisher.publish(b"x" * (room + 1), message_id="m-1").pointer is not None
    with_attribute = room - len("kStringv")
    assert publisher.publish(b"x" * with_attribute, message_id="m-2", attributes={"k": "v"}).pointer is None
    assert publisher.publish(b"x" * (with_attribute + 1), message_id="m-2", attributes={"k": "v"}).pointer is not None


def test_bytes_are_counted_and_not_characters(publisher: Publisher) -> None:
    room = 262_144 - CLAIM
    assert publisher.publish("ä" * (room // 2), message_id="m-1").pointer is None
    assert publisher.publish("ä" * (room // 2 + 1), message_id="m-1").pointer is not None


@pytest.mark.parametrize("payload", [b"", b"\xff", "\x00", "a\x0bb", "\ufffe", "\uffff", "\x1f", b"caf\xe9"])
def test_what_sns_cannot_carry_is_offloaded(payload: bytes | str, publisher: Publisher) -> None:
    assert publisher.publish(payload).pointer is not None


def test_what_is_streamed_and_fits_goes_inline(publisher: Publisher, sns: NotedSns, tmp_path: Path) -> None:
    path = tmp_path / "payload"
    path.write_text("größer")
    for payload in (path, io.BytesIO("größer".encode()), iter(["grö".encode(), "ßer".encode()])):
        assert publisher.publish(payload).pointer is None
    assert [message["Message"] for message in sns.published] == ["größer"] * 3


@pytest.mark.parametrize("payload", ["\t\n\r ", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "\x7f\x80"])
def test_what_sns_can_carry_goes_inline(payload: str, publisher: Publisher) -> None:
    assert publisher.publish(payload).pointer is None


class Chatter(io.RawIOBase):
    """A file that cannot seek and gives little at a time."""

    def __init__(self, data: bytes) -> None:
        self._chunks = iter([data[start : start + 1000] for start in range(0, len(data), 1000)])

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return next(self._chunks, b"")


def test_all_kinds_of_payload_are_the_same_payload(publisher: Publisher, tmp_path: Path) -> None:
    text = "größer\n" * 100_000
    data = text.encode()
    path = tmp_path / "payload"
    path.write_bytes(data)
    at_its_middle = io.BytesIO(b"skipped" + data)
    at_its_middle.seek(len(b"skipped"))
    kinds: list[Any] = [data, bytearray(data), memoryview(data), text, path, at_its_middle, Chatter(data)]
    kinds += [[data[:5], b"", memoryview(data)[5:]], (bytearray(data[i : i + 9999]) for i in range(0, len(data), 9999))]
    for kind in kinds:
        assert publisher.publish(kind).sha256 == hashlib.sha256(data).hexdigest(), type(kind)


@pytest.mark.parametrize(
    ("payload", "advice"),
    [
        (7, "a payload cannot be a int"),
        (None, "a payload cannot be a NoneType"),
        ({"a": 1}, "json.dumps"),
        (["text"], "must yield bytes, not str"),
        ([1, 2], "must yield bytes, not int"),
        (io.StringIO("text"), "binary mode"),
        ("\ud800", "pass bytes"),
        (memoryview(b"abcdef")[::2], "tobytes"),
    ],
)
def test_other_things_are_no_payload(payload: Any, advice: str, publisher: Publisher, fake_s3: FakeS3) -> None:
    with pytest.raises(InvalidMessage, match=advice):
        publisher.publish(payload)
    assert fake_s3.objects == {}


def test_a_missing_file_is_the_callers_error(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publisher.publish(tmp_path / "missing")


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "a b", "ä", "m" * 65, "m\n"])
def test_an_unusable_id_is_refused_with_advice(bad: str, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match="pass a digest of it"):
        publisher.publish(b"x", message_id=bad)


def test_without_an_id_a_fresh_one_is_made(publisher: Publisher) -> None:
    fresh = {publisher.publish(b"x").message_id for _ in range(3)}
    assert len(fresh) == 3
    assert all(len(bytes.fromhex(message_id)) == 16 for message_id in fresh)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("ExtendedPayloadSize", 1, "reserved"),
        ("SQSLargePayloadSize", 1, "reserved"),
        ("ClaimCheck", "x", "reserved"),
        ("S3Key", "x", "reserved"),
        ("", "x", "1 to 256"),
        ("a b", "x", "1 to 256"),
        ("a..b", "x", "single inner dots"),
        (".a", "x", "1 to 256"),
        ("a.", "x", "1 to 256"),
        ("AWS.a", "x", "does not start"),
        ("amazon.a", "x", "does not start"),
        ("a", "", "empty"),
        ("a", b"", "empty"),
        ("a", "\x00", "SNS rejects"),
        ("a", True, "pass a string, or 1 or 0"),
        ("a", None, "pass str"),
        ("a", float("nan"), "pass str"),
        ("a", float("inf"), "pass str"),
        ("a", 10**200, "pass str"),
        ("a", Attribute("Number", "one"), "not a number"),
        ("a", Attribute("Text", "one"), "is not String"),
        ("a", Attribute("String", b"one"), "cannot hold bytes"),
        ("a", Attribute("Binary", "one"), "cannot hold str"),
    ],
)
def test_attributes_sns_would_refuse_are_refused(name: str, value: Any, advice: str, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match=advice):
        publisher.publish(b"x", attributes={name: value})


def test_ten_attributes_less_ours_are_the_callers(publisher: Publisher, sns: NotedSns, fake_s3: FakeS3) -> None:
    nine = {f"a{number}": number for number in range(9)}
    eight = {name: nine[name] for name in list(nine)[:8]}
    publisher.publish(b"x", attributes=nine)
    publisher.publish(b"\x00", attributes=eight)
    assert [len(published["MessageAttributes"]) for published in sns.published] == [10, 10]
    fake_s3.objects.clear()
    with pytest.raises(InvalidMessage, match="9 are more than 8"):
        publisher.publish(b"\x00", attributes=nine)
    with pytest.raises(InvalidMessage, match="10 are more than 9"):
        publisher.publish(b"x", attributes={**nine, "a9": 9})
    assert fake_s3.objects == {}


def test_attributes_that_leave_no_room_are_refused_before_anything_is_stored(
    publisher: Publisher, fake_s3: FakeS3
) -> None:
    with pytest.raises(InvalidMessage, match="move some into the payload"):
        publisher.publish(b"x" * 1000, attributes={"a": "v" * 262_000})
    assert fake_s3.requests == []


@pytest.mark.parametrize("subject", ["", "two\nlines", "x" * 101, "\x00"])
def test_a_subject_sns_would_refuse_is_refused(subject: str, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match=r"^subject: must be 1 to 100 printable characters on one line$"):
        publisher.publish(b"x", subject=subject)
    publisher.publish(b"x", subject="x" * 100)


def test_a_fifo_topic_deduplicates_by_the_message_id(s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=f"{TOPIC}.fifo", store=store, sns=sns.client(), s3=s3)
    publisher.publish(b"x", message_id="m-1", group_id="g")
    publisher.publish(b"\x00", message_id="m-2", group_id="g", deduplication_id="d")
    first, second = sns.published
    assert (first["MessageGroupId"], first["MessageDeduplicationId"]) == ("g", "m-1")
    assert (second["MessageGroupId"], second["MessageDeduplicationId"]) == ("g", "d")
    with pytest.raises(InvalidMessage, match="group_id: a FIFO topic needs one"):
        publisher.publish(b"x")
    with pytest.raises(InvalidMessage, match="group_id = 'a b'"):
        publisher.publish(b"x", group_id="a b")


def test_a_standard_topic_takes_no_deduplication_id(publisher: Publisher, sns: NotedSns) -> None:
    with pytest.raises(InvalidMessage, match="only a FIFO topic"):
        publisher.publish(b"x", deduplication_id="d")
    publisher.publish(b"x", group_id="tenant")  # a standard topic hands it on, for fair queues
    assert sns.published[0]["MessageGroupId"] == "tenant"


@pytest.mark.parametrize("name", ["MessageStructure", "message_structure"])
@pytest.mark.parametrize("payload", [b"x", b"\x00"], ids=["inline", "offloaded"])
def test_a_message_that_differs_by_protocol_is_refused_before_anything_is_stored(
    name: str, payload: bytes, publisher: Publisher, sns: NotedSns, fake_s3: FakeS3
) -> None:
    with pytest.raises(InvalidMessage, match="differs by protocol"):
        publisher.publish(payload, **{name: "json"})  # type: ignore[arg-type]
    assert (sns.published, fake_s3.requests) == ([], [])


def test_an_unknown_argument_is_a_type_error(publisher: Publisher, fake_s3: FakeS3) -> None:
    with pytest.raises(TypeError, match=r"publish\(\) got unexpected arguments: PhoneNumber, TargetArn"):
        publisher.publish(b"\x00", PhoneNumber="+100", TargetArn="x")  # type: ignore[arg-type]
    assert fake_s3.requests == []


@pytest.mark.parametrize("arn", ["", "topic", "arn:aws:sqs:eu-west-1:111111111111:q", TOPIC + ":x"])
def test_a_topic_must_be_one(arn: str, store: Store) -> None:
    with pytest.raises(ValueError, match="topic_arn"):
        Publisher(topic_arn=arn, store=store)


@pytest.mark.parametrize("threshold", [0, -1, 1_048_577])
def test_a_threshold_must_be_one(threshold: int, store: Store) -> None:
    with pytest.raises(ValueError, match=f"^threshold = {threshold}: must be from 1 to 1048576 bytes$"):
        Publisher(topic_arn=TOPIC, store=store, threshold=threshold)
    for good in (1, 1_048_576):
        assert Publisher(topic_arn=TOPIC, store=store, threshold=good).threshold == good


def test_clients_are_made_in_the_regions_of_topic_and_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    store = Store("payloads-one", "payloads/", OWNER, "us-east-2")
    publisher = Publisher(topic_arn=TOPIC, store=store)
    assert (publisher._sns.meta.region_name, publisher._s3.meta.region_name) == ("eu-west-1", "us-east-2")
    assert publisher._s3 is publisher._s3
    assert (publisher.store, publisher.fifo, publisher.threshold) == (store, False, 262_144)


# What stays in the store when SNS does not take the pointer.


@pytest.fixture
def stubbed() -> Iterator[tuple[SNSClient, Stubber]]:
    client = boto3.client("sns", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stub:
        yield client, stub


@pytest.mark.parametrize(
    ("status", "code", "raised", "stays"),
    [
        (400, "InvalidParameter", InvalidMessage, False),
        (403, "AuthorizationError", ClientError, False),
        (404, "NotFound", ClientError, False),
        (400, "Throttling", ClientError, True),
        (400, "KMSThrottling", ClientError, True),
        (429, "TooManyRequests", ClientError, True),
        (408, "RequestTimeout", ClientError, True),
        (500, "InternalError", ClientError, True),
        (503, "ServiceUnavailable", ClientError, True),
    ],
)
def test_only_a_definite_no_deletes_what_this_call_stored(
    status: int,
    code: str,
    raised: type[Exception],
    stays: bool,
    stubbed: tuple[SNSClient, Stubber],
    s3: S3Client,
    store: Store,
    fake_s3: FakeS3,
) -> None:
    sns, stub = stubbed
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3)
    stub.add_client_error("publish", code, http_status_code=status)
    with pytest.raises(raised):
        publisher.publish(b"\x00")
    assert bool(fake_s3.objects) is stays


def test_only_the_owners_bucket_is_deleted_from(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    stub.add_client_error("publish", "NotFound", http_status_code=404)
    with pytest.raises(ClientError):
        Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish(b"\x00")
    stored, deleted = fake_s3.requests
    assert (stored, deleted) == (f"PUT {stored.partition(' ')[2]}", f"DELETE {stored.partition(' ')[2]}")
    assert fake_s3.headers[-1]["x-amz-expected-bucket-owner"] == OWNER


def test_what_another_call_of_the_same_id_may_point_to_stays(
    stubbed: tuple[SNSClient, Stubber], publisher: Publisher, s3: S3Client, store: Store, dereferencer: Dereferencer
) -> None:
    """Two at once under the caller's id: the one stores, the other finds it there and its message goes out; SNS refuses
    the first."""
    sns, stub = stubbed
    noted: list[dict[str, Any]] = []

    class Slow:
        def publish(self, **message: Any) -> Any:
            publisher.publish(b"\x00", message_id="m-1")
            noted.append(message)
            return sns.publish(**message)

    stub.add_client_error("publish", "AuthorizationError", http_status_code=403)
    with pytest.raises(ClientError):
        Publisher(topic_arn=TOPIC, store=store, sns=Slow(), s3=s3).publish(b"\x00", message_id="m-1")  # type: ignore[arg-type]
    (message,) = noted  # the other's is the same, word for word
    assert dereferencer.message(DELIVERIES["SNS event"](message)).payload.read() == b"\x00"


def test_what_an_earlier_call_stored_stays(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3)
    stub.add_response("publish", {"MessageId": "s-1"})
    stub.add_client_error("publish", "InvalidParameter", http_status_code=400)
    publisher.publish(b"\x00", message_id="m-1")
    with pytest.raises(InvalidMessage, match="MaximumMessageSize") as caught:
        publisher.publish(b"\x00", message_id="m-1")
    assert isinstance(caught.value.__cause__, ClientError)
    assert ("payloads-one", "payloads/m-1") in fake_s3.objects


def test_after_a_retry_inside_boto_nothing_is_deleted(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3)
    stub.add_client_error("publish", "AuthorizationError", http_status_code=403, response_meta={"RetryAttempts": 1})
    with pytest.raises(ClientError):
        publisher.publish(b"\x00")
    assert len(fake_s3.objects) == 1


def test_a_failed_deletion_hides_nothing(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    stub.add_client_error("publish", "NotFound", http_status_code=404)
    fake_s3.refuse("DELETE", 403, "AccessDenied")
    with pytest.raises(ClientError, match="NotFound") as caught:
        Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish(b"\x00")
    ((bucket, key),) = fake_s3.objects
    assert caught.value.__notes__ == [
        f"s3://{bucket}/{key} was not deleted (AccessDenied); it expires with its lifetime"
    ]


# Objects that are in S3 already.


def test_an_object_is_copied_by_s3_and_its_source_stays(
    publisher: Publisher, fake_s3: FakeS3, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    data = b"uploaded" * 1000
    fake_s3.put("uploads-one", "outbox/my scan+ü.tiff", data)
    published = publisher.publish_object(
        S3Object("uploads-one", "outbox/my scan+ü.tiff", OWNER, "eu-west-1", "v/1+2"), size=len(data), message_id="u-1"
    )
    assert published.sha256 == hashlib.sha256(data).hexdigest()
    assert published.pointer == Pointer("payloads-one", "payloads/u-1")
    assert fake_s3.asked("GET") == []
    assert ("uploads-one", "outbox/my scan+ü.tiff") in fake_s3.objects
    headers = fake_s3.headers[0]
    assert headers["x-amz-copy-source"].endswith("?versionId=v/1+2")
    assert headers["x-amz-checksum-algorithm"] == "SHA256"
    assert headers["x-amz-tagging-directive"] == "REPLACE"
    assert headers["x-amz-expected-bucket-owner"] == headers["x-amz-source-expected-bucket-owner"] == OWNER
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.id, message.payload.read()) == ("u-1", data)


def test_copying_again_is_harmless_even_when_the_source_is_gone(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")

    def publish() -> Any:
        return publisher.publish_object(UPLOAD._replace(version_id="v1"), size=3, message_id="u-1")

    first, second = publish(), publish()
    del fake_s3.objects["uploads-one", "outbox/a"]
    assert first == second == publish()


def test_an_earlier_copy_is_looked_for_when_s3_misses_the_source_first(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    first = publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    fake_s3.refuse("PUT", 404, "NoSuchVersion")
    assert publisher.publish_object(UPLOAD, size=3, message_id="u-1") == first


def test_an_object_that_cannot_be_announced_is_not_copied(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    attributes = {f"a{number}": number for number in range(9)}
    with pytest.raises(InvalidMessage, match="9 are more than 8"):
        publisher.publish_object(UPLOAD, size=3, message_id="u-1", attributes=attributes)
    assert fake_s3.requests == []


def test_a_copy_stays_when_sns_refuses(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    stub.add_client_error("publish", "NotFound", http_status_code=404)
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    with pytest.raises(ClientError):
        Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish_object(UPLOAD, size=3, message_id="u-1")
    assert ("payloads-one", "payloads/u-1") in fake_s3.objects


def test_another_source_under_the_same_id_is_a_conflict(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    for version, error in {"v1": None, "v2": PayloadConflict}.items():
        source = S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1", version)
        if error is None:
            publisher.publish_object(source, size=3, message_id="u-1")
        else:
            with pytest.raises(error):
                publisher.publish_object(source, size=3, message_id="u-1")


def test_neither_source_nor_copy_is_missing(publisher: Publisher) -> None:
    with pytest.raises(PayloadMissing, match="upload it again") as caught:
        publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    assert caught.value.pointer == Pointer("uploads-one", "outbox/a")


def test_a_source_of_another_owner_is_not_copied(sns: NotedSns, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    store = Store("payloads-one", "payloads/", "999999999999", "eu-west-1")
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3)
    with pytest.raises(PayloadUnavailable, match="another owner") as caught:
        publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    assert not caught.value.permanent
    assert sns.published == []


def test_above_the_limit_of_one_copy_s3_copies_in_parts_and_declares_its_own_checksum(
    publisher: Publisher, fake_s3: FakeS3, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    size = 6 * 2**30 + 5
    fake_s3.put("uploads-one", "outbox/big", Zeros(size))
    published = publisher.publish_object(
        S3Object("uploads-one", "outbox/big", OWNER, "eu-west-1", "v1"), size=size, message_id="u-1"
    )
    assert len(fake_s3.objects["payloads-one", "payloads/u-1"].data) == size
    assert published.sha256 is None
    checksum = fake_s3.objects["payloads-one", "payloads/u-1"].crc64nvme
    claim = sns.published[0]["MessageAttributes"]["ClaimCheck"]["StringValue"]
    assert claim == f'{{"id":"u-1","crc64nvme":"{checksum}"}}'
    again = publisher.publish_object(
        S3Object("uploads-one", "outbox/big", OWNER, "eu-west-1", "v1"), size=size, message_id="u-1"
    )
    assert again == published
    assert sns.published[0] == sns.published[1]
    assert fake_s3.uploads == {}
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.size, message.sha256) == (size, None)
    landed = message.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=fake_s3.client())
    assert landed.crc64nvme == checksum


def test_a_copy_in_parts_that_fails_leaves_no_upload(publisher: Publisher, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/big", Zeros(6 * 2**30))
    fake_s3.refuse("PUT", 403, "AccessDenied", on="partNumber=7")
    with pytest.raises(PayloadUnavailable):
        publisher.publish_object(
            S3Object("uploads-one", "outbox/big", OWNER, "eu-west-1"), size=6 * 2**30, message_id="u-1"
        )
    assert fake_s3.uploads == {}
    assert ("payloads-one", "payloads/u-1") not in fake_s3.objects


def test_parameters_an_older_boto3_does_not_know_are_left_out(s3: S3Client) -> None:
    assert copying_module._supported(s3, IfNoneMatch="*", NotYetInvented="x") == {"IfNoneMatch": "*"}


@pytest.mark.parametrize(
    ("payload", "error", "reason"),
    [
        (b"x" * 262_145, PayloadTooLarge, "it has more than"),
        ([b"x" * 200_000, b"x" * 100_000], PayloadTooLarge, "it has more than"),
        (b"\x00", InvalidMessage, "SNS cannot carry it as text"),
        (b"", InvalidMessage, "SNS cannot carry it as text"),
    ],
)
def test_a_publisher_that_never_offloads_refuses_what_it_would_have_to(
    payload: Any, error: type[Exception], reason: str, store: Store, sns: NotedSns, s3: S3Client, fake_s3: FakeS3
) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, offload="never", sns=sns.client(), s3=s3)
    with pytest.raises(error, match=f"{reason}.* never offloads") as refused:
        publisher.publish(payload)
    assert getattr(refused.value, "permanent", None) is True
    (outcome,) = publisher.publish_batch([Entry(payload=payload)])
    assert isinstance(outcome.error, error)
    with pytest.raises(InvalidMessage, match="an object in S3 can only be pointed to"):
        publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    assert sns.published == []
    assert fake_s3.requests == []
    assert publisher.publish(b"x" * 262_000).pointer is None


def test_an_unknown_way_to_offload_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="offload = 'sometimes': must be one of over-threshold, always, never"):
        Publisher(topic_arn=TOPIC, store=store, offload="sometimes")  # type: ignore[arg-type]
