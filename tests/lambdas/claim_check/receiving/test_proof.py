"""Payloads that are proved by S3's checksum, without reading them."""

from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    ClaimCheckError,
    Dereferencer,
    Payload,
    PayloadCorrupt,
    PayloadMissing,
    PayloadUnavailable,
    Pointer,
    Proof,
    Publisher,
    Replica,
    Reported,
    Store,
)
from claim_check.wire.claim import Claim
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns, pointing
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = b"the published bytes"
OLD = b"the same size, old."
KEY = Pointer("payloads-one", "payloads/m-1")
NEAR = Replica("replica-near", "us-west-2")
CRC64NVME = "AAAAAAAAAAE="


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def base64_sha256_of(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def crc32_of(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def put(fake_s3: FakeS3, data: bytes = DATA, *, bucket: str = KEY.bucket, **checksums: Any) -> None:
    fake_s3.objects[bucket, KEY.key] = fake_s3.stored(data, **checksums)


def payload_of(claim: Claim, s3: S3Client, *, store: Store, **arguments: Any) -> Payload:
    attributes = {"ExtendedPayloadSize": (str(len(DATA)), "Number"), "ClaimCheck": (claim.attribute().value, "String")}
    members = {name: {"dataType": kind, "stringValue": text} for name, (text, kind) in attributes.items()}
    record = {"messageId": "m-1", "body": KEY.body(), "messageAttributes": members}
    return Dereferencer(stores=[store], s3=s3, **arguments).message(record).payload


@pytest.mark.parametrize(
    ("declared", "reported", "checksum"),
    [
        ("sha256", "sha256", "sha256"),
        ("crc64nvme", "crc64nvme", "crc64nvme"),
        ("crc32", "crc32", "crc32"),
        ("sha256 crc64nvme crc32", "sha256 crc64nvme crc32", "sha256"),
        ("sha256 crc64nvme crc32", "crc64nvme crc32", "crc64nvme"),
        ("sha256 crc32", "crc64nvme crc32", "crc32"),
        ("sha256", "crc32", None),
        ("crc32", "", None),
        ("", "sha256 crc64nvme crc32", None),
    ],
)
def test_strongest_common_checksum_is_the_proof(
    declared: str, reported: str, checksum: str | None, store: Store, s3: S3Client, fake_s3: FakeS3
) -> None:
    claimed: dict[str, Any] = {"sha256": sha256_of(DATA), "crc64nvme": CRC64NVME, "crc32": crc32_of(DATA)}
    headers: dict[str, Any] = claimed | {"sha256": base64_sha256_of(DATA)}
    put(fake_s3, **{name: headers[name] for name in reported.split()})
    payload = payload_of(Claim("m-1", **{name: claimed[name] for name in declared.split()}), s3, store=store)
    proof = payload.verify()
    figures = {name: claimed[name] for name in reported.split()}
    assert proof == Proof(checksum, Reported(len(DATA), **figures, etag=fake_s3.objects[KEY].etag))  # type: ignore[arg-type]
    assert fake_s3.requests == [f"HEAD /{KEY.bucket}/{KEY.key}"]
    (headers_,) = fake_s3.headers
    assert (headers_["x-amz-checksum-mode"], headers_["x-amz-expected-bucket-owner"]) == ("ENABLED", OWNER)


@pytest.mark.parametrize(
    ("stored", "checksums", "problem"),
    [
        (DATA[:-1], {}, "has the size 18, the message declares 19"),
        (OLD, {"sha256": base64_sha256_of(OLD)}, f"has the SHA-256 '{sha256_of(OLD)}', the message declares"),
        (OLD, {"crc64nvme": "AAAAAAAAAAI="}, "has the CRC64NVME 'AAAAAAAAAAI=', the message declares 'AAAAAAAAAAE='"),
        (OLD, {"crc32": crc32_of(OLD)}, f"has the CRC32 '{crc32_of(OLD)}', the message declares"),
        # One equal checksum does not outweigh another one that differs.
        (OLD, {"crc64nvme": CRC64NVME, "crc32": "AAAAAA=="}, "has the CRC32 'AAAAAA=='"),
    ],
    ids=["size", "sha256", "crc64nvme", "crc32", "one of two"],
)
def test_other_object_is_corrupt(
    stored: bytes, checksums: dict[str, str], problem: str, store: Store, s3: S3Client, fake_s3: FakeS3
) -> None:
    put(fake_s3, stored, **checksums)
    claim = Claim("m-1", sha256_of(DATA), CRC64NVME, crc32_of(DATA))
    with pytest.raises(PayloadCorrupt, match=f"^the payload {problem}") as caught:
        payload_of(claim, s3, store=store).verify()
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", KEY)


def test_composite_checksums_prove_nothing(store: Store, s3: S3Client, fake_s3: FakeS3) -> None:
    put(fake_s3, sha256=base64_sha256_of(OLD) + "-2", crc32=crc32_of(OLD) + "-2")
    payload = payload_of(Claim("m-1", sha256_of(DATA), crc32=crc32_of(DATA)), s3, store=store)
    assert payload.verify() == Proof(None, Reported(len(DATA), etag=fake_s3.objects[KEY].etag))
    head = {"ETag": "e", "ContentLength": 19, "ChecksumCRC32": crc32_of(OLD), "ChecksumType": "COMPOSITE"}
    assert Reported.of(head) == Reported(19, etag="e")
    assert Reported.of(head | {"ChecksumType": "FULL_OBJECT"}) == Reported(19, crc32=crc32_of(OLD), etag="e")


def test_message_of_another_library_has_the_figures_of_s3(
    dereferencer: Dereferencer, s3: S3Client, fake_s3: FakeS3
) -> None:
    put(fake_s3, crc32=crc32_of(DATA))
    payload = dereferencer.message(pointing(*KEY, size=str(len(DATA)))).payload
    proof = payload.verify()
    assert (proof.checksum, proof.reported.size, proof.reported.crc32) == (None, len(DATA), crc32_of(DATA))
    put(fake_s3, DATA + b"x")
    with pytest.raises(PayloadCorrupt, match="has the size 20"):
        payload.verify()


def test_inline_payload_is_compared_in_memory(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    publisher.publish(DATA, message_id="m-1")
    record = DELIVERIES["SNS event"](sns.published[0])
    figures = Reported(len(DATA), sha256_of(DATA), None, crc32_of(DATA))
    assert dereferencer.message(record).payload.verify() == Proof("sha256", figures)
    foreign = {"MessageId": "m-1", "Message": DATA.decode()}
    assert dereferencer.message(foreign).payload.verify() == Proof(None, figures)
    record["Sns"]["Message"] = OLD.decode()
    with pytest.raises(PayloadCorrupt, match="SHA-256"):
        dereferencer.message(record).payload.verify()
    assert fake_s3.requests == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(404, "NoSuchKey", PayloadMissing), (503, "SlowDown", PayloadUnavailable)],
)
def test_failed_look_is_an_error_of_the_library(
    status: int, code: str, error: type[ClaimCheckError], store: Store, s3: S3Client, fake_s3: FakeS3
) -> None:
    fake_s3.fail("HEAD", status, code, times=2)
    with pytest.raises(error, match="cannot look at the payload") as caught:
        payload_of(Claim("m-1"), s3, store=store).verify()
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", KEY)


CLAIM = Claim("m-1", sha256_of(DATA), crc32=crc32_of(DATA))


def verified(fake_s3: FakeS3, s3: S3Client) -> tuple[Proof, list[str], list[PayloadCorrupt]]:
    """Return the proof of the payload near a replica, the buckets that were looked at, and errors of stale replicas."""
    stale: list[PayloadCorrupt] = []
    near = Store(KEY.bucket, "payloads/", OWNER, "eu-west-1", replicas=(NEAR,))
    proof = payload_of(CLAIM, s3, store=near, on_stale=stale.append).verify()
    return proof, [request.split("/")[1] for request in fake_s3.requests], stale


def test_replica_with_the_checksum_is_a_proof(s3: S3Client, fake_s3: FakeS3) -> None:
    put(fake_s3, bucket=NEAR.bucket, crc32=crc32_of(DATA))
    proof, looked, stale = verified(fake_s3, s3)
    assert (proof.checksum, looked, stale) == ("crc32", [NEAR.bucket], [])


@pytest.mark.parametrize(
    ("replica", "is_stale"),
    [
        (None, False),
        ({"data": OLD}, False),
        ({"data": OLD, "crc32": crc32_of(OLD)}, True),
        ({"data": OLD[:-1]}, True),
    ],
    ids=["missing", "without checksum", "stale", "other size"],
)
def test_replica_without_the_checksum_is_no_proof(
    replica: dict[str, Any] | None, is_stale: bool, s3: S3Client, fake_s3: FakeS3
) -> None:
    put(fake_s3, sha256=base64_sha256_of(DATA))
    if replica:
        put(fake_s3, bucket=NEAR.bucket, **replica)
    proof, looked, stale = verified(fake_s3, s3)
    assert (proof.checksum, looked, len(stale)) == ("sha256", [NEAR.bucket, KEY.bucket], is_stale)


def test_unavailable_replica_is_no_proof(s3: S3Client, fake_s3: FakeS3) -> None:
    put(fake_s3, sha256=base64_sha256_of(DATA))
    fake_s3.fail("HEAD", 403, "AccessDenied", on=NEAR.bucket)
    proof, looked, _ = verified(fake_s3, s3)
    assert (proof.checksum, looked) == ("sha256", [NEAR.bucket, KEY.bucket])


def test_checksums_of_a_hand_off_are_compared(dereferencer: Dereferencer, fake_s3: FakeS3) -> None:
    put(fake_s3, crc32=crc32_of(DATA), crc64nvme=CRC64NVME)
    handed = {"size": len(DATA), "message_id": "m-1"}
    for name, good, bad in (("crc32", crc32_of(DATA), crc32_of(OLD)), ("crc64nvme", CRC64NVME, "AAAAAAAAAAI=")):
        assert dereferencer.payload(KEY, **handed, **{name: good}).verify().checksum == name  # type: ignore[arg-type]
        with pytest.raises(PayloadCorrupt):
            dereferencer.payload(KEY, **handed, **{name: bad}).verify()  # type: ignore[arg-type]


def test_message_has_the_declared_checksums(publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
    publisher.publish(DATA, message_id="m-1")
    sns.published[0]["MessageAttributes"]["ClaimCheck"]["StringValue"] = (
        Claim("m-1", None, CRC64NVME, "AAAAAA==").attribute().value
    )
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.sha256, message.crc64nvme, message.crc32) == (None, CRC64NVME, "AAAAAA==")
    assert message.topic_arn == TOPIC
