"""Compressed payloads: the message names the encoding, and a reader gets the expanded bytes up to its limit."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    Dereferencer,
    Digest,
    MalformedMessage,
    Message,
    Payload,
    PayloadCorrupt,
    PayloadTooLarge,
    Pointer,
    Replica,
    S3Object,
    Store,
)
from claim_check.wire.claim import Claim
from tests.lambdas.claim_check.deliveries import queued
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = json.dumps({"rows": list(range(300_000))}).encode()  # 2.3 MB
STORED = gzip.compress(DATA, mtime=0)
KEY = Pointer("payloads-one", "payloads/m-1")
DIGEST = Digest(len(DATA), hashlib.sha256(DATA).hexdigest())


def record(stored: bytes = STORED, *, marker: str = "CompressedPayloadSize", **claim: Any) -> dict[str, Any]:
    members: dict[str, Any] = {"sha256": hashlib.sha256(stored).hexdigest(), "encoding": "gzip", "expanded": len(DATA)}
    declared = Claim("m-1", **(members | claim)).attribute().value
    message = queued(KEY.body(), {marker: str(len(stored))})
    message["messageAttributes"]["ClaimCheck"] = {"dataType": "String", "stringValue": declared}
    return message


@pytest.fixture
def message(dereferencer: Dereferencer, fake_s3: FakeS3) -> Message:
    sha256 = base64.b64encode(hashlib.sha256(STORED).digest()).decode()
    fake_s3.objects[KEY] = fake_s3.stored(STORED, sha256=sha256)
    return dereferencer.message(record())


def test_message_tells_encoding_and_both_sizes(message: Message) -> None:
    assert (message.encoding, message.size, message.stored_size) == ("gzip", len(DATA), len(STORED))
    assert message.sha256 == hashlib.sha256(STORED).hexdigest()
    assert message.attributes == {}


def test_all_methods_return_expanded_bytes(message: Message, tmp_path: Path) -> None:
    payload = message.payload
    assert payload.size == len(DATA)
    assert payload.read() == DATA
    assert payload.text() == DATA.decode()
    assert payload.json() == json.loads(DATA)
    chunks = list(payload.iter_chunks(100_000))
    assert (b"".join(chunks), {len(chunk) for chunk in chunks[:-1]}) == (DATA, {100_000})
    with payload.open() as stream:
        assert json.load(stream) == json.loads(DATA)
    assert payload.download_to(tmp_path / "file") == DIGEST
    assert (tmp_path / "file").read_bytes() == DATA
    assert payload.download_to("/dev/null") == DIGEST
    assert payload.verify_by_reading() == DIGEST


def test_compressed_payload_is_not_read_in_advance(message: Message, dereferencer: Dereferencer) -> None:
    outcomes = dereferencer.outcomes([record(), record()], prefetch=True)
    assert [outcome.message and outcome.message.payload.read() for outcome in outcomes] == [DATA, DATA]


def test_stored_bytes_are_proved_and_copied(message: Message, fake_s3: FakeS3, s3: S3Client) -> None:
    proof = message.payload.verify()
    assert (proof.checksum, proof.reported.size) == ("sha256", len(STORED))
    message.payload.copy_to(S3Object("landed-one", "x", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.objects["landed-one", "x"].data == STORED
    assert fake_s3.requests_of("GET") == []


def ways(path: Path) -> dict[str, Callable[[Payload], object]]:
    return {
        "read": lambda payload: payload.read(limit=10**9),
        "iter_chunks": lambda payload: list(payload.iter_chunks()),
        "open": lambda payload: payload.open().read(),
        "download_to": lambda payload: payload.download_to(path / "file"),
        "verify_by_reading": lambda payload: payload.verify_by_reading(),
    }


@pytest.mark.parametrize("way", ["read", "iter_chunks", "open", "download_to", "verify_by_reading"])
def test_expanded_size_is_limited_before_reading(
    way: str, message: Message, s3: S3Client, store: Store, fake_s3: FakeS3, tmp_path: Path
) -> None:
    use = ways(tmp_path)[way]
    payload = Dereferencer(stores=[store], s3=s3, expanded_limit=len(DATA) - 1).message(record()).payload
    with pytest.raises(PayloadTooLarge, match=f"has {len(DATA)} bytes when it is expanded, more than .*expanded_limit"):
        use(payload)
    assert (fake_s3.requests, list(tmp_path.iterdir())) == ([], [])
    use(Dereferencer(stores=[store], s3=s3, expanded_limit=len(DATA)).message(record()).payload)


def test_read_has_its_own_limit(message: Message, fake_s3: FakeS3) -> None:
    with pytest.raises(PayloadTooLarge, match=f"more than the limit of {len(DATA) - 1}: .* stream it") as caught:
        message.payload.read(limit=len(DATA) - 1)
    assert (caught.value.message_id, fake_s3.requests) == ("m-1", [])


@pytest.mark.parametrize("way", ["read", "iter_chunks", "open", "download_to", "verify_by_reading"])
@pytest.mark.parametrize(
    ("stored", "expanded"),
    [(STORED, len(DATA) - 1), (STORED, len(DATA) + 1), (DATA[:1000], 1000)],
    ids=["fewer", "more", "plain"],
)
def test_other_expansion_is_corrupt(
    way: str,
    stored: bytes,
    expanded: int,
    dereferencer: Dereferencer,
    fake_s3: FakeS3,
    tmp_path: Path,
) -> None:
    fake_s3.put(*KEY, stored)
    payload = dereferencer.message(record(stored, expanded=expanded)).payload
    with pytest.raises(PayloadCorrupt, match=r"expanded bytes|is not valid gzip") as caught:
        ways(tmp_path)[way](payload)
    assert (caught.value.message_id, list(tmp_path.iterdir())) == ("m-1", [])


def test_changed_stored_bytes_are_corrupt(message: Message, fake_s3: FakeS3) -> None:
    fake_s3.put(*KEY, gzip.compress(b" " + DATA, mtime=0)[: len(STORED)].ljust(len(STORED)))
    with pytest.raises(PayloadCorrupt, match="the message declares"):
        message.payload.read()


def test_compressed_payload_is_not_read_from_replica(message: Message, s3: S3Client, fake_s3: FakeS3) -> None:
    near = Store(KEY.bucket, "payloads/", OWNER, "eu-west-1", replicas=(Replica("replica-near", "us-west-2"),))
    payload = Dereferencer(stores=[near], s3=s3).message(record()).payload
    assert payload.read() == DATA
    assert payload.verify().checksum == "sha256"
    assert {request.split("/")[1] for request in fake_s3.requests} == {KEY.bucket}


def test_hand_off_of_compressed_payload_is_expanded(message: Message, dereferencer: Dereferencer) -> None:
    payload = dereferencer.payload(
        KEY,
        size=message.stored_size,
        message_id="m-1",
        sha256=message.sha256,
        encoding=message.encoding,
        expanded=message.size,
    )
    assert payload.read() == DATA
    with pytest.raises(MalformedMessage, match="the hand-off has only one of 'encoding' and 'expanded'"):
        dereferencer.payload(KEY, size=1, message_id="m-1", encoding="gzip")


@pytest.mark.parametrize("marker", ["ExtendedPayloadSize", "SQSLargePayloadSize"])
def test_compression_under_the_marker_of_aws_is_malformed(marker: str, dereferencer: Dereferencer) -> None:
    """A reader of AWS would have got compressed bytes."""
    with pytest.raises(MalformedMessage, match="only one of the marker and the claim of a compressed payload"):
        dereferencer.message(record(marker=marker))


def test_marker_of_compression_without_encoding_is_malformed(dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage, match="only one of the marker and the claim of a compressed payload"):
        dereferencer.message(record(encoding=None, expanded=None))
    with pytest.raises(MalformedMessage, match="no usable 'encoding'"):
        dereferencer.message(record(encoding="zstd"))
