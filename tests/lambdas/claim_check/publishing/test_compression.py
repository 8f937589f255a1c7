"""Publishing compressed payloads."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import Dereferencer, Entry, InvalidMessage, PayloadConflict, Pointer, Publisher, S3Object, Store
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = b"a row of text\n" * 50_000  # 700 kB
KEY = Pointer("payloads-one", "payloads/m-1")


@pytest.fixture
def compressing(sns: NotedSns, s3: S3Client, store: Store) -> Publisher:
    return Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3, compression="gzip")


PAYLOADS: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda _: DATA,
    "text": lambda _: DATA.decode(),
    "stream": lambda _: io.BytesIO(DATA),
    "iterable": lambda _: [DATA[:99], DATA[99:]],
    "bytearray": lambda _: bytearray(DATA),
    "path": lambda path: path,
}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_offloaded_payload_is_compressed(
    kind: str, compressing: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(DATA)
    published = compressing.publish(PAYLOADS[kind](tmp_path / "file"), message_id="m-1")
    stored = fake_s3.objects[KEY].data
    assert isinstance(stored, bytes)
    assert gzip.decompress(stored) == DATA
    assert len(stored) < len(DATA) / 10
    assert (published.size, published.sha256) == (len(DATA), hashlib.sha256(stored).hexdigest())
    attributes = sns.published[0]["MessageAttributes"]
    assert attributes["CompressedPayloadSize"] == {"DataType": "Number", "StringValue": str(len(stored))}
    assert not {"ExtendedPayloadSize", "SQSLargePayloadSize"}.intersection(attributes)
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.encoding, message.size, message.payload.read()) == ("gzip", len(DATA), DATA)
    assert message.payload.verify().checksum


def test_large_payload_is_compressed_in_parts(
    compressing: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    data = b"".join(hashlib.sha256(bytes([number % 256, number // 256])).digest() * 2 for number in range(2**16)) * 5
    compressing.publish(data, message_id="m-1")
    assert fake_s3.requests_of("POST")
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    assert message.payload.read() == data
    assert message.payload.verify().checksum == "crc32"


def test_inline_payload_is_not_compressed(compressing: Publisher, sns: NotedSns) -> None:
    assert compressing.publish("small").pointer is None
    assert sns.published[0]["Message"] == "small"


def test_object_in_s3_is_not_compressed(compressing: Publisher, sns: NotedSns, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "outbox/a", b"abc")
    compressing.publish_object(S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1"), size=3, message_id="m-1")
    assert fake_s3.objects[KEY].data == b"abc"
    assert "ExtendedPayloadSize" in sns.published[0]["MessageAttributes"]


def test_batch_is_compressed(compressing: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
    payloads: list[Any] = [DATA, "small", io.BytesIO(DATA + b"x"), b"\x00"]
    outcomes = compressing.publish_batch([Entry(payload=payload) for payload in payloads])
    assert [outcome.error for outcome in outcomes] == [None] * 4
    messages = [dereferencer.message(DELIVERIES["SNS event"](published)) for published in sns.published]
    assert [message.payload.read() for message in messages] == [DATA, b"small", DATA + b"x", b"\x00"]
    assert [message.encoding for message in messages] == ["gzip", None, "gzip", "gzip"]


def test_retry_stores_nothing_twice(compressing: Publisher, sns: NotedSns, fake_s3: FakeS3) -> None:
    for payload in (DATA, io.BytesIO(DATA)):
        compressing.publish(payload, message_id="m-1")
    assert len(fake_s3.objects) == 1
    assert sns.published[0] == sns.published[1]
    with pytest.raises(PayloadConflict):
        compressing.publish(DATA + b"x", message_id="m-1")


def test_error_of_the_callers_payload_is_raised(compressing: Publisher, fake_s3: FakeS3) -> None:
    def broken() -> Any:
        yield DATA
        raise OSError("the disk failed")

    with pytest.raises(OSError, match="the disk failed"):
        compressing.publish(broken())
    (outcome,) = compressing.publish_batch([Entry(payload=broken())])
    assert isinstance(outcome.error, OSError)
    assert fake_s3.objects == {}


def test_space_for_the_claim_of_compression_is_reserved(compressing: Publisher, publisher: Publisher) -> None:
    """Attributes fit with a plain pointer, and not with a compressed one."""
    for size in range(261_800, 262_144):
        try:
            publisher.publish(b"\x00", attributes={"a": "x" * size}, message_id="m")
        except InvalidMessage:
            break
    with pytest.raises(InvalidMessage, match="with a pointer they make"):
        compressing.publish(b"\x00", attributes={"a": "x" * (size - 1)}, message_id="n")
    compressing.publish(b"\x00", attributes={"a": "x" * (size - 60)}, message_id="n")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"compression": "zip"}, "compression = 'zip': must be None or 'gzip'"),
        ({"compression": "gzip", "pointer_form": "python"}, "pointer_form = 'python': its readers cannot expand"),
    ],
)
def test_invalid_compression_is_rejected(options: Any, problem: str, store: Store) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        Publisher(topic_arn=TOPIC, store=store, **options)
