"""Publisher: inline and offloaded payloads, settings, and objects of rejected messages."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from claim_check import (
    Dereferencer,
    Entry,
    InvalidMessage,
    MessagingDenied,
    MessagingUnavailable,
    ObjectOptions,
    PayloadTooLarge,
    Publisher,
    S3Object,
    Store,
)
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sns.client import SNSClient

# Size of the claim for an id of three characters: name, "String", and {"id":"…","sha256":"<64 digits>"}.
CLAIM = len("ClaimCheck") + len("String") + len('{"id":"m-1","sha256":""}') + 64
UPLOAD = S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1")


@pytest.mark.parametrize("threshold", [262_144, 1_048_576])
def test_threshold_is_inclusive(threshold: int, s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, threshold=threshold, sns=sns.client(), s3=s3)
    space = threshold - CLAIM
    assert publisher.publish(b"x" * space, message_id="m-1").pointer is None
    assert publisher.publish(b"x" * (space + 1), message_id="m-1").pointer is not None
    with_attribute = space - len("kStringv")
    assert publisher.publish(b"x" * with_attribute, message_id="m-2", attributes={"k": "v"}).pointer is None
    assert publisher.publish(b"x" * (with_attribute + 1), message_id="m-2", attributes={"k": "v"}).pointer is not None


def test_threshold_counts_bytes(publisher: Publisher) -> None:
    space = 262_144 - CLAIM
    assert publisher.publish("ä" * (space // 2), message_id="m-1").pointer is None
    assert publisher.publish("ä" * (space // 2 + 1), message_id="m-1").pointer is not None


@pytest.mark.parametrize("payload", [b"", b"\xff", "\x00", "a\x0bb", "\ufffe", "\uffff", "\x1f", b"caf\xe9"])
def test_unpublishable_text_is_offloaded(payload: bytes | str, publisher: Publisher) -> None:
    assert publisher.publish(payload).pointer is not None


def test_always_offloading_offloads_one_byte(store: Store, sns: NotedSns, s3: S3Client) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, offload="always", sns=sns.client(), s3=s3)
    assert publisher.publish("x").pointer is not None


def test_small_stream_is_inline(publisher: Publisher, sns: NotedSns, tmp_path: Path) -> None:
    path = tmp_path / "payload"
    path.write_text("größer")
    for payload in (path, io.BytesIO("größer".encode()), iter(["grö".encode(), "ßer".encode()])):
        assert publisher.publish(payload).pointer is None
    assert [message["Message"] for message in sns.published] == ["größer"] * 3


@pytest.mark.parametrize("payload", ["\t\n\r ", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "\x7f\x80"])
def test_publishable_text_is_inline(payload: str, publisher: Publisher) -> None:
    assert publisher.publish(payload).pointer is None


@pytest.mark.parametrize("arn", ["", "topic", "arn:aws:sqs:eu-west-1:111111111111:q", TOPIC + ":x"])
def test_invalid_topic_is_rejected(arn: str, store: Store) -> None:
    with pytest.raises(ValueError, match="topic_arn"):
        Publisher(topic_arn=arn, store=store)


@pytest.mark.parametrize("threshold", [0, -1, 1_048_577])
def test_invalid_threshold_is_rejected(threshold: int, store: Store) -> None:
    with pytest.raises(ValueError, match=f"^threshold = {threshold}: must be from 1 to 1048576 bytes$"):
        Publisher(topic_arn=TOPIC, store=store, threshold=threshold)
    for good in (1, 1_048_576):
        assert Publisher(topic_arn=TOPIC, store=store, threshold=good).threshold == good


def test_clients_have_the_regions_of_topic_and_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    store = Store("payloads-one", "payloads/", OWNER, "us-east-2")
    publisher = Publisher(topic_arn=TOPIC, store=store)
    topic: Any = publisher._destination
    assert topic.client is topic.client
    assert (topic.client.meta.region_name, publisher._s3.meta.region_name) == ("eu-west-1", "us-east-2")
    assert publisher._s3 is publisher._s3
    assert (publisher.store, publisher.fifo, publisher.threshold) == (store, False, 262_144)


@pytest.mark.parametrize(
    ("status", "code", "raised", "stays"),
    [
        (400, "InvalidParameter", InvalidMessage, False),
        (403, "AuthorizationError", MessagingDenied, False),
        (404, "NotFound", MessagingDenied, False),
        (400, "Throttling", MessagingUnavailable, True),
        (400, "KMSThrottling", MessagingUnavailable, True),
        (429, "TooManyRequests", MessagingUnavailable, True),
        (408, "RequestTimeout", MessagingUnavailable, True),
        (500, "InternalError", MessagingUnavailable, True),
        (503, "ServiceUnavailable", MessagingUnavailable, True),
    ],
)
def test_offloaded_payload_is_deleted_only_on_rejection(
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
    with pytest.raises(raised) as caught:
        publisher.publish(b"\x00")
    assert bool(fake_s3.objects) is stays
    assert type(caught.value) is raised
    assert isinstance(caught.value.__cause__, ClientError)
    assert code in str(caught.value)


def test_deletion_expects_the_bucket_owner(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    stub.add_client_error("publish", "NotFound", http_status_code=404)
    with pytest.raises(MessagingDenied):
        Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish(b"\x00")
    stored, deleted = fake_s3.requests
    assert (stored, deleted) == (f"PUT {stored.partition(' ')[2]}", f"DELETE {stored.partition(' ')[2]}")
    assert fake_s3.headers[-1]["x-amz-expected-bucket-owner"] == OWNER


def test_object_of_concurrent_call_with_the_same_id_stays(
    stubbed: tuple[SNSClient, Stubber], publisher: Publisher, s3: S3Client, store: Store, dereferencer: Dereferencer
) -> None:
    """Of two concurrent calls, one stores the object and is rejected. The message of the other points to the object."""
    sns, stub = stubbed
    noted: list[dict[str, Any]] = []

    class Slow:
        def publish(self, **message: Any) -> Any:
            publisher.publish(b"\x00", message_id="m-1")
            noted.append(message)
            return sns.publish(**message)

    stub.add_client_error("publish", "AuthorizationError", http_status_code=403)
    with pytest.raises(MessagingDenied):
        Publisher(topic_arn=TOPIC, store=store, sns=Slow(), s3=s3).publish(b"\x00", message_id="m-1")  # type: ignore[arg-type]
    (message,) = noted  # both messages are equal
    assert dereferencer.message(DELIVERIES["SNS event"](message)).payload.read() == b"\x00"


def test_object_of_earlier_call_stays(
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


def test_object_stays_after_retry_by_boto(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3)
    stub.add_client_error("publish", "AuthorizationError", http_status_code=403, response_meta={"RetryAttempts": 1})
    with pytest.raises(MessagingDenied):
        publisher.publish(b"\x00")
    assert len(fake_s3.objects) == 1


def test_failed_deletion_is_a_note_on_the_error(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    stub.add_client_error("publish", "NotFound", http_status_code=404)
    fake_s3.fail("DELETE", 403, "AccessDenied")
    with pytest.raises(MessagingDenied, match="NotFound") as caught:
        Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish(b"\x00")
    ((bucket, key),) = fake_s3.objects
    assert caught.value.__notes__ == [
        f"s3://{bucket}/{key} was not deleted (AccessDenied); it expires with its lifetime"
    ]


def test_copy_stays_on_rejection(
    stubbed: tuple[SNSClient, Stubber], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    sns, stub = stubbed
    stub.add_client_error("publish", "NotFound", http_status_code=404)
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    with pytest.raises(MessagingDenied):
        Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish_object(UPLOAD, size=3, message_id="u-1")
    assert ("payloads-one", "payloads/u-1") in fake_s3.objects


@pytest.mark.parametrize(
    ("payload", "error", "reason"),
    [
        (b"x" * 262_145, PayloadTooLarge, "it has more than"),
        ([b"x" * 200_000, b"x" * 100_000], PayloadTooLarge, "it has more than"),
        (b"\x00", InvalidMessage, "SNS cannot carry it as text"),
        (b"", InvalidMessage, "SNS cannot carry it as text"),
    ],
)
def test_never_offloading_rejects_larger_payloads(
    payload: Any, error: type[Exception], reason: str, store: Store, sns: NotedSns, s3: S3Client, fake_s3: FakeS3
) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, offload="never", sns=sns.client(), s3=s3)
    with pytest.raises(error, match=f"{reason}.* never offloads") as caught:
        publisher.publish(payload, message_id="m-1")
    assert getattr(caught.value, "message_id", None) == "m-1"
    (outcome,) = publisher.publish_batch([Entry(payload=payload)])
    assert isinstance(outcome.error, error)
    with pytest.raises(InvalidMessage, match="an object in S3 can only be pointed to"):
        publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    assert sns.published == []
    assert fake_s3.requests == []
    assert publisher.publish(b"x" * 262_000).pointer is None


def test_invalid_offload_setting_is_rejected(store: Store) -> None:
    with pytest.raises(ValueError, match="offload = 'sometimes': must be one of over-threshold, always, never"):
        Publisher(topic_arn=TOPIC, store=store, offload="sometimes")  # type: ignore[arg-type]


def test_requests_use_given_clients_and_set_no_acl(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "client", None)
    publisher.publish(b"\x00", message_id="m-1")
    assert dereferencer.message(DELIVERIES["SNS event"](sns.published[0])).payload.read() == b"\x00"
    sent = {name for headers in fake_s3.headers for name in headers}
    assert not [name for name in sent if "acl" in name or "server-side-encryption" in name]


class TestReservedSpace:
    """Bytes and attributes that are kept free for tracing libraries."""

    def publisher(self, store: Store, sns: NotedSns, s3: S3Client, **reserved: Any) -> Publisher:
        return Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3, **reserved)

    def test_reserved_bytes_lower_the_threshold(self, store: Store, sns: NotedSns, s3: S3Client) -> None:
        publisher = self.publisher(store, sns, s3, reserved_bytes=1_000)
        space = 262_144 - 1_000 - CLAIM
        assert publisher.publish(b"x" * space, message_id="m-1").pointer is None
        assert publisher.publish(b"x" * (space + 1), message_id="m-2").pointer is not None

    def test_reserved_bytes_are_free_in_each_entry_of_a_batch(self, store: Store, sns: NotedSns, s3: S3Client) -> None:
        publisher = self.publisher(store, sns, s3, reserved_bytes=1_024)
        size = 262_144 // 10 - 1_024 - CLAIM
        publisher.publish_batch([Entry(payload="x" * size, message_id=f"m-{n}") for n in range(10)])
        assert [len(batch) for batch in sns.batches] == [10]
        publisher.publish_batch([Entry(payload="x" * (size + 1), message_id=f"m-{n}") for n in range(10)])
        assert [len(batch) for batch in sns.batches[1:]] == [9, 1]

    def test_reserved_bytes_are_free_beside_a_pointer(self, store: Store, sns: NotedSns, s3: S3Client) -> None:
        attributes = {"a": "x" * 261_000}
        self.publisher(store, sns, s3, reserved_bytes=10).publish(b"\0", attributes=attributes)
        with pytest.raises(InvalidMessage, match="more than 262144"):
            self.publisher(store, sns, s3, reserved_bytes=1_000).publish(b"\0", attributes=attributes)

    @pytest.mark.parametrize("payload", [b"x", b"\0"], ids=["inline", "offloaded"])
    def test_reserved_attributes_are_free(self, payload: bytes, store: Store, sns: NotedSns, s3: S3Client) -> None:
        publisher = self.publisher(store, sns, s3, reserved_attributes=2)
        allowed = 7 if payload == b"x" else 6
        publisher.publish(payload, attributes={str(number): 1 for number in range(allowed)})
        assert len(sns.published[0]["MessageAttributes"]) == 8
        with pytest.raises(InvalidMessage, match=f"{allowed + 1} are more than {allowed} .*, 2 are reserved;"):
            publisher.publish(payload, attributes={str(number): 1 for number in range(allowed + 1)})

    @pytest.mark.parametrize(
        ("reserved", "problem"),
        [
            ({"reserved_bytes": -1}, "reserved_bytes = -1: must be from 0 to less than the threshold"),
            ({"reserved_bytes": 262_144}, "reserved_bytes = 262144"),
            ({"reserved_attributes": -1}, "reserved_attributes = -1: must be from 0 to 8"),
            ({"reserved_attributes": 9}, "reserved_attributes = 9"),
        ],
    )
    def test_invalid_reserve_is_rejected(
        self, reserved: dict[str, int], problem: str, store: Store, sns: NotedSns, s3: S3Client
    ) -> None:
        with pytest.raises(ValueError, match=problem):
            self.publisher(store, sns, s3, **reserved)
        self.publisher(store, sns, s3, reserved_bytes=262_143, reserved_attributes=8)


def storage_classes(fake_s3: FakeS3) -> list[str | None]:
    return [headers.get("x-amz-storage-class") for headers in fake_s3.headers]


def test_options_of_the_publisher_are_the_default(store: Store, sns: NotedSns, s3: S3Client, fake_s3: FakeS3) -> None:
    of_publisher, of_call = (ObjectOptions(storage_class=name) for name in ("STANDARD_IA", "GLACIER_IR"))
    publisher = Publisher(topic_arn=TOPIC, store=store, object_options=of_publisher, sns=sns.client(), s3=s3)
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    publisher.publish(b"\0")
    publisher.publish(b"\0", object_options=of_call)
    publisher.publish_object(UPLOAD, size=3, message_id="u-1")
    publisher.publish_object(UPLOAD, size=3, message_id="u-2", object_options=of_call)
    publisher.publish_batch([Entry(payload=b"\0")])
    publisher.publish_batch([Entry(payload=b"\0", object_options=of_call)])
    assert storage_classes(fake_s3) == ["STANDARD_IA", "GLACIER_IR"] * 3


def test_progress_is_called_for_payload_and_copy(publisher: Publisher, fake_s3: FakeS3) -> None:
    counts: list[int] = []
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    publisher.publish(b"\0" * 7, progress=counts.append)
    publisher.publish_object(UPLOAD, size=3, message_id="u-1", progress=counts.append)
    publisher.publish("inline", progress=counts.append)
    assert counts == [7, 3]


def test_message_declares_the_checksum_of_s3(publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
    for data, checksum in ((b"\0", "sha256"), (b"\0" * 9_000_000, "crc32")):
        publisher.publish(data)
        message = dereferencer.message(DELIVERIES["SNS event"](sns.published[-1]))
        assert message.payload.verify().checksum == checksum
        assert message.sha256


def test_object_under_a_generated_id_is_not_looked_for(publisher: Publisher, fake_s3: FakeS3) -> None:
    publisher.publish(b"\0" * 9_000_000)
    assert fake_s3.requests_of("HEAD") == []
    publisher.publish(b"\0" * 9_000_000, message_id="m-1")
    assert len(fake_s3.requests_of("HEAD")) == 1


@pytest.mark.parametrize("memory", [0, 2**20 - 1, True, 1.5])
def test_invalid_memory_is_rejected(memory: Any, store: Store) -> None:
    with pytest.raises(ValueError, match="memory = "):
        Publisher(topic_arn=TOPIC, store=store, memory=memory)


def test_threads_share_one_client_of_each_service(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    barrier, made = threading.Barrier(4), []

    def client(service: str, *_: object, **__: object) -> MagicMock:
        made.append(service)
        time.sleep(0.05)
        return MagicMock()

    def use() -> tuple[object, object]:
        barrier.wait(10)
        return publisher._s3, publisher._destination.client

    monkeypatch.setattr("boto3.client", client)
    publisher = Publisher(topic_arn=TOPIC, store=store)
    with ThreadPoolExecutor(4) as pool:
        clients = {future.result() for future in [pool.submit(use) for _ in range(4)]}
    assert len(clients) == 1
    assert sorted(made) == ["s3", "sns"]
