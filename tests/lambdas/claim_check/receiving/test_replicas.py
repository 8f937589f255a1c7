"""Replicas: the nearest first, the store itself when they cannot be read, and never other bytes than were published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from claim_check import (
    Dereferencer,
    Message,
    Payload,
    PayloadCorrupt,
    PayloadMissing,
    PayloadUnavailable,
    Pointer,
    Publisher,
    Replica,
    S3Object,
    Store,
    UntrustedStore,
    s3_client,
)
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3
from tests.lambdas.claim_check.receiving.test_dereferencer import pointing

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = bytes(range(256)) * 12_000
NEAR = Replica("replica-near", "us-west-2")
FAR = Replica("replica-far", "ap-northeast-1")


@pytest.fixture
def stale() -> list[PayloadCorrupt]:
    """What was told of replicas."""
    return []


@pytest.fixture
def message(publisher: Publisher, sns: NotedSns, s3: S3Client, store: Store, stale: list[PayloadCorrupt]) -> Message:
    """An offloaded payload, dereferenced near two replicas, neither of which has it yet."""
    publisher.publish(DATA, message_id="m-1")
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR, FAR))
    return Dereferencer(stores=[near], s3=s3, on_stale=stale.append).message(DELIVERIES["SNS event"](sns.published[0]))


def replicate(fake_s3: FakeS3, *replicas: Replica, data: bytes = DATA) -> None:
    for replica in replicas:
        fake_s3.put(replica.bucket, "payloads/m-1", data)


def gets(fake_s3: FakeS3) -> list[str]:
    """Buckets that were asked for the object, in order."""
    return [request.split("/")[1] for request in fake_s3.asked("GET")]


def test_the_nearest_replica_is_one_call(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near"]
    assert fake_s3.headers[-1]["x-amz-expected-bucket-owner"] == OWNER


def test_replicas_are_asked_in_their_order(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, FAR)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far"]


def test_while_replication_lags_the_store_itself_is_read(message: Message, fake_s3: FakeS3) -> None:
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far", "payloads-one"]


@pytest.mark.parametrize(
    ("status", "code", "times"),
    [(403, "AccessDenied", 1), (404, "NoSuchBucket", 1), (503, "SlowDown", 2), (400, "KMS.DisabledException", 1)],
)
def test_a_replica_that_cannot_be_read_is_passed_over(
    status: int, code: str, times: int, message: Message, fake_s3: FakeS3
) -> None:
    replicate(fake_s3, NEAR, FAR)
    fake_s3.refuse("GET", status, code, times=times, on="/replica-near/")
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near"] * times + ["replica-far"]


def test_a_replicas_region_that_does_not_answer_is_passed_over(
    publisher: Publisher, sns: NotedSns, s3: S3Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(DATA, message_id="m-1")
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR,))
    dereferencer = Dereferencer(stores=[near])
    with FakeS3() as server:
        nobody = server.client(connect_timeout=1)
    monkeypatch.setattr(dereferencer, "_client", lambda region, patient=True: s3 if patient else nobody)
    record = DELIVERIES["SNS event"](sns.published[0])
    assert dereferencer.message(record).payload.read() == DATA


def test_a_client_for_a_replica_is_quick_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    quick: Any = s3_client("us-west-2", patient=False).meta.config
    patient: Any = s3_client("us-west-2").meta.config
    assert (quick.retries["total_max_attempts"], quick.connect_timeout) == (2, 3)
    assert (patient.retries["total_max_attempts"], patient.connect_timeout) == (5, 60)


def test_a_replica_of_another_size_is_no_replica_yet(message: Message, fake_s3: FakeS3) -> None:
    """The key was taken back and published anew: the replica still has what it was before."""
    replicate(fake_s3, NEAR, data=DATA[:-1])
    replicate(fake_s3, FAR)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far"]


OLD = b"x" + DATA[1:]
"""What was published under the same id before, of the same size."""


def read_file(payload: Payload, path: Path) -> bytes:
    payload.download_to(path / "file")
    return (path / "file").read_bytes()


@pytest.mark.parametrize(
    "read",
    [
        lambda payload, _: payload.read(),
        read_file,
        lambda payload, _: DATA if payload.verify() == (len(DATA), hashlib.sha256(DATA).hexdigest()) else OLD,
    ],
    ids=["read", "download_to", "verify"],
)
def test_what_is_read_as_a_whole_is_read_elsewhere_when_a_replica_has_other_bytes(
    read: Callable[[Payload, Path], bytes],
    message: Message,
    stale: list[PayloadCorrupt],
    fake_s3: FakeS3,
    tmp_path: Path,
) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    assert read(message.payload, tmp_path) == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far", "payloads-one"]
    (error,) = stale
    assert "the payload's replica in replica-near: read 3072000 bytes with SHA-256" in str(error)
    assert error.message_id == "m-1"


def test_a_replica_that_was_wrong_is_not_asked_again(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    replicate(fake_s3, FAR)
    assert message.payload.read() == message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far", "replica-far"]


def test_other_bytes_everywhere_are_corrupt(message: Message, fake_s3: FakeS3, tmp_path: Path) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    fake_s3.put("payloads-one", "payloads/m-1", OLD)
    with pytest.raises(PayloadCorrupt, match="the payload: read 3072000 bytes with SHA-256"):
        message.payload.download_to(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_stream_of_other_bytes_ends_with_an_error_and_can_be_read_again(
    message: Message, stale: list[PayloadCorrupt], fake_s3: FakeS3
) -> None:
    """What was handed out cannot be taken back; it is not the payload's fault."""
    replicate(fake_s3, NEAR, data=OLD)
    with pytest.raises(PayloadUnavailable, match="replica in replica-near has other bytes"):
        list(message.payload.iter_chunks())
    assert len(stale) == 1
    assert b"".join(message.payload.iter_chunks()) == DATA
    with message.payload.open() as stream:
        assert stream.read() == DATA


def test_a_replica_is_not_read_for_what_declares_no_digest(
    message: Message, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    """Nothing would tell an old copy of the same size."""
    replicate(fake_s3, NEAR, data=OLD)
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR,))
    found = Dereferencer(stores=[near], s3=s3)
    assert message.pointer
    assert found.payload(message.pointer, size=len(DATA), message_id="m-1").read() == DATA


def test_a_copy_of_other_bytes_is_made_again_of_the_store(
    message: Message, stale: list[PayloadCorrupt], fake_s3: FakeS3, s3: S3Client
) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.objects["landing", "k"].data == DATA
    assert len(stale) == 1


def test_a_copy_that_nothing_would_check_is_made_of_the_store(
    message: Message, fake_s3: FakeS3, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above 5 GiB S3 tells no SHA-256."""
    monkeypatch.setattr("claim_check.s3.copy.LARGEST_SINGLE_COPY_BYTES", len(DATA) - 1)
    replicate(fake_s3, NEAR)
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.asked("HEAD") == ["HEAD /payloads-one/payloads/m-1"]
    assert fake_s3.objects["landing", "k"].data == DATA


def test_a_dropped_connection_is_resumed_on_the_same_replica(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    fake_s3.drop(1_500_000, 100)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near"] * 3
    assert fake_s3.headers[-1]["range"].startswith("bytes=15001")
    assert fake_s3.headers[-1]["if-match"] == fake_s3.objects["replica-near", "payloads/m-1"].etag


def test_a_replica_that_goes_away_in_the_middle_is_worth_a_retry(message: Message, fake_s3: FakeS3) -> None:
    """Bytes of two objects are never put together, though they ought to be the same."""
    replicate(fake_s3, NEAR)
    fake_s3.drop(1_500_000)
    chunks = message.payload.iter_chunks()
    next(chunks)
    del fake_s3.objects["replica-near", "payloads/m-1"]
    with pytest.raises(PayloadUnavailable, match="the payload's replica in replica-near has other bytes"):
        list(chunks)
    assert message.payload.read() == DATA


def test_what_is_nowhere_is_missing_in_the_store(message: Message, fake_s3: FakeS3) -> None:
    del fake_s3.objects["payloads-one", "payloads/m-1"]
    with pytest.raises(PayloadMissing, match="cannot read the payload: the object does not exist") as caught:
        message.payload.read()
    assert caught.value.pointer == Pointer("payloads-one", "payloads/m-1")


def test_the_stores_own_error_is_the_one_that_is_told(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    fake_s3.refuse("GET", 403, "AccessDenied", times=9)
    with pytest.raises(PayloadUnavailable, match="cannot read the payload: S3 returned AccessDenied"):
        message.payload.read()


def test_a_copy_is_of_the_nearest_replica(message: Message, fake_s3: FakeS3, s3: S3Client) -> None:
    replicate(fake_s3, FAR)
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert [request.split("/")[1] for request in fake_s3.asked("HEAD")] == ["replica-near", "replica-far"]
    assert fake_s3.headers[-1]["x-amz-copy-source"] == "replica-far/payloads/m-1"
    assert fake_s3.objects["landing", "k"].data == DATA


def test_a_copy_of_a_replica_that_fails_is_made_of_the_store(message: Message, fake_s3: FakeS3, s3: S3Client) -> None:
    replicate(fake_s3, NEAR, FAR, data=DATA[:-1])
    replicate(fake_s3, FAR)
    fake_s3.refuse("PUT", 403, "AccessDenied", on="/landing/")
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.headers[-1]["x-amz-copy-source"] == "payloads-one/payloads/m-1"


def test_a_pointer_into_a_replica_is_not_trusted(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    """Pointers are the store's own: a replica is no store."""
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR,))
    with pytest.raises(UntrustedStore):
        Dereferencer(stores=[near], s3=s3).message(pointing(NEAR.bucket, "payloads/m-1"))
    assert fake_s3.requests == []


def test_replicas_are_read_from_settings_and_checked(store: Store) -> None:
    itself = {"bucket": store.bucket, "prefix": store.prefix, "owner": store.owner, "region": store.region}
    assert Store.from_dict(itself) == store
    near = Store.from_dict({**itself, "replicas": [{"bucket": "replica-near", "region": "us-west-2"}]})
    assert near.replicas == (NEAR,)
    for replica, problem in (
        ({"bucket": "replica-near"}, r"missing \['region'\]"),
        ({"bucket": "replica-near", "region": "us-west-2", "owner": OWNER}, r"unknown \['owner'\]"),
        ({"bucket": "Replica", "region": "us-west-2"}, "replica bucket = 'Replica': must be a bucket's name"),
    ):
        with pytest.raises(ValueError, match=problem):
            Store.from_dict({**itself, "replicas": [replica]})
