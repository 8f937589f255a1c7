"""Reading from replicas: in their order, then from the store, and only published bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

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
)
from claim_check.s3.client import MIB
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns, pointing
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = bytes(range(256)) * 12_000
NEAR = Replica("replica-near", "us-west-2")
FAR = Replica("replica-far", "ap-northeast-1")


@pytest.fixture
def stale() -> list[PayloadCorrupt]:
    """Errors of stale replicas."""
    return []


@pytest.fixture
def message(publisher: Publisher, sns: NotedSns, s3: S3Client, store: Store, stale: list[PayloadCorrupt]) -> Message:
    """An offloaded payload, dereferenced near two replicas that do not have it yet."""
    publisher.publish(DATA, message_id="m-1")
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR, FAR))
    return Dereferencer(stores=[near], s3=s3, on_stale=stale.append).message(DELIVERIES["SNS event"](sns.published[0]))


def replicate(fake_s3: FakeS3, *replicas: Replica, data: bytes = DATA) -> None:
    for replica in replicas:
        fake_s3.put(replica.bucket, "payloads/m-1", data)


def gets(fake_s3: FakeS3) -> list[str]:
    """Return the buckets of GetObject requests, in order."""
    return [request.split("/")[1] for request in fake_s3.requests_of("GET")]


def test_nearest_replica_is_read_in_one_call(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near"]
    assert fake_s3.headers[-1]["x-amz-expected-bucket-owner"] == OWNER


def test_replicas_are_read_in_their_order(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, FAR)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far"]


def test_store_is_read_while_replication_lags(message: Message, fake_s3: FakeS3) -> None:
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far", "payloads-one"]


@pytest.mark.parametrize(
    ("status", "code", "times"),
    [(403, "AccessDenied", 1), (404, "NoSuchBucket", 1), (503, "SlowDown", 2), (400, "KMS.DisabledException", 1)],
)
def test_unreadable_replica_is_skipped(status: int, code: str, times: int, message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    fake_s3.fail("GET", status, code, times=times, on="/replica-near/")
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near"] * times + ["replica-far"]


def test_unreachable_region_is_skipped(
    publisher: Publisher, sns: NotedSns, s3: S3Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(DATA, message_id="m-1")
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR,))
    dereferencer = Dereferencer(stores=[near])
    with FakeS3() as server:
        unreachable = server.client(connect_timeout=1)

    def make(region: str, *, patient: bool, session: object) -> S3Client:
        return s3 if patient else unreachable

    monkeypatch.setattr("claim_check.s3.client.s3_client", make)
    record = DELIVERIES["SNS event"](sns.published[0])
    assert dereferencer.message(record).payload.read() == DATA


def test_replica_of_another_size_is_skipped(message: Message, fake_s3: FakeS3) -> None:
    """The object was deleted and published again: the replica has the earlier object."""
    replicate(fake_s3, NEAR, data=DATA[:-1])
    replicate(fake_s3, FAR)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near", "replica-far"]


OLD = b"x" + DATA[1:]
"""An earlier payload with the same id and size."""


def read_file(payload: Payload, path: Path) -> bytes:
    payload.download_to(path / "file")
    return (path / "file").read_bytes()


@pytest.mark.parametrize(
    "read",
    [
        lambda payload, _: payload.read(),
        read_file,
        lambda payload, _: (
            DATA if payload.verify_by_reading() == (len(DATA), hashlib.sha256(DATA).hexdigest()) else OLD
        ),
    ],
    ids=["read", "download_to", "verify_by_reading"],
)
def test_whole_read_skips_replica_with_other_bytes(
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


def test_stale_replica_is_not_read_again(message: Message, fake_s3: FakeS3) -> None:
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


def test_small_stream_skips_replica_with_other_bytes(
    message: Message, stale: list[PayloadCorrupt], fake_s3: FakeS3
) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    assert b"".join(message.payload.iter_chunks()) == DATA
    assert len(stale) == 1
    with message.payload.open() as stream:
        assert stream.read() == DATA


@pytest.fixture
def large(publisher: Publisher, sns: NotedSns, s3: S3Client, store: Store, stale: list[PayloadCorrupt]) -> Message:
    """The same with so little memory that the payload is read in ranges."""
    publisher.publish(DATA, message_id="m-1")
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR, FAR))
    dereferencer = Dereferencer(stores=[near], s3=s3, on_stale=stale.append, memory=MIB)
    return dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))


def test_stream_of_stale_replica_fails_and_can_be_repeated(
    large: Message, stale: list[PayloadCorrupt], fake_s3: FakeS3
) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    with pytest.raises(PayloadUnavailable, match="replica in replica-near has other bytes") as caught:
        list(large.payload.iter_chunks())
    assert caught.value.message_id == "m-1"
    assert len(stale) == 1
    assert b"".join(large.payload.iter_chunks()) == DATA
    with large.payload.open() as stream:
        assert stream.read() == DATA


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (503, "SlowDown")])
def test_large_stream_skips_unreadable_replica(status: int, code: str, large: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    fake_s3.fail("GET", status, code, times=9, on="/replica-near/")
    assert b"".join(large.payload.iter_chunks()) == DATA
    assert gets(fake_s3)[-1] == "replica-far"


def test_large_download_skips_replica_with_other_bytes(large: Message, fake_s3: FakeS3, tmp_path: Path) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    assert read_file(large.payload, tmp_path) == DATA
    assert large.payload.read() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_payload_without_digest_is_not_read_from_replica(
    message: Message, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR,))
    found = Dereferencer(stores=[near], s3=s3)
    assert message.pointer
    assert found.payload(message.pointer, size=len(DATA), message_id="m-1").read() == DATA


def test_copy_of_stale_replica_is_repeated_from_the_store(
    message: Message, stale: list[PayloadCorrupt], fake_s3: FakeS3, s3: S3Client
) -> None:
    replicate(fake_s3, NEAR, data=OLD)
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.objects["landing", "k"].data == DATA
    assert len(stale) == 1


def test_copy_without_sha256_is_made_from_the_store(
    message: Message, fake_s3: FakeS3, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above 5 GiB, S3 reports no SHA-256."""
    monkeypatch.setattr("claim_check.s3.copy.LARGEST_SINGLE_COPY_BYTES", len(DATA) - 1)
    replicate(fake_s3, NEAR)
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.requests_of("HEAD") == ["HEAD /payloads-one/payloads/m-1"]
    assert fake_s3.objects["landing", "k"].data == DATA


def test_dropped_connection_is_resumed_on_the_same_replica(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    fake_s3.drop(1_500_000, 100)
    assert message.payload.read() == DATA
    assert gets(fake_s3) == ["replica-near"] * 3
    assert fake_s3.headers[-1]["range"].startswith("bytes=15001")
    assert fake_s3.headers[-1]["if-match"] == fake_s3.objects["replica-near", "payloads/m-1"].etag


def test_replica_deleted_during_read_is_unavailable(large: Message, fake_s3: FakeS3) -> None:
    """Bytes of two objects are never joined."""
    replicate(fake_s3, NEAR)
    chunks = large.payload.iter_chunks(100_000)
    fake_s3.drop(500_000)

    def delete(number: int) -> None:
        if number == 2:
            del fake_s3.objects["replica-near", "payloads/m-1"]

    fake_s3.before_get = delete
    with pytest.raises(PayloadUnavailable, match="the payload's replica in replica-near has other bytes"):
        list(chunks)
    assert large.payload.read() == DATA


def test_payload_missing_everywhere_is_missing_in_the_store(message: Message, fake_s3: FakeS3) -> None:
    del fake_s3.objects["payloads-one", "payloads/m-1"]
    with pytest.raises(PayloadMissing, match="cannot read the payload: the object does not exist") as caught:
        message.payload.read()
    assert caught.value.pointer == Pointer("payloads-one", "payloads/m-1")


def test_error_of_the_store_is_raised(message: Message, fake_s3: FakeS3) -> None:
    replicate(fake_s3, NEAR, FAR)
    fake_s3.fail("GET", 403, "AccessDenied", times=9)
    with pytest.raises(PayloadUnavailable, match="cannot read the payload: S3 returned AccessDenied"):
        message.payload.read()


def test_copy_is_made_from_the_nearest_replica(message: Message, fake_s3: FakeS3, s3: S3Client) -> None:
    replicate(fake_s3, FAR)
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert [request.split("/")[1] for request in fake_s3.requests_of("HEAD")] == ["replica-near", "replica-far"]
    assert fake_s3.headers[-1]["x-amz-copy-source"] == "replica-far/payloads/m-1"
    assert fake_s3.objects["landing", "k"].data == DATA


def test_failed_copy_of_replica_is_made_from_the_store(message: Message, fake_s3: FakeS3, s3: S3Client) -> None:
    replicate(fake_s3, NEAR, FAR, data=DATA[:-1])
    replicate(fake_s3, FAR)
    fake_s3.fail("PUT", 403, "AccessDenied", on="/landing/")
    message.payload.copy_to(S3Object("landing", "k", OWNER, "eu-west-1"), s3=s3)
    assert fake_s3.headers[-1]["x-amz-copy-source"] == "payloads-one/payloads/m-1"


@pytest.mark.parametrize("memory", [MIB, 40 * MIB])
@pytest.mark.parametrize("silent", [1, 2])
def test_replica_is_left_after_its_second_silence(
    silent: int,
    memory: int,
    publisher: Publisher,
    sns: NotedSns,
    store: Store,
    fake_s3: FakeS3,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("claim_check.s3.object_reader._PAUSE_SECONDS", 0)
    publisher.publish(DATA, message_id="m-1")
    replicate(fake_s3, NEAR)
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR,))
    dereferencer = Dereferencer(stores=[near], s3=fake_s3.client(read_timeout=0.3), memory=memory)
    message = dereferencer.message(DELIVERIES["SNS event"](sns.published[0]))
    ended = threading.Event()
    for _ in range(silent):
        fake_s3.pause(1000, ended)
    try:
        assert message.payload.read() == DATA
    finally:
        ended.set()
    assert ("payloads-one" in gets(fake_s3)) is (silent == 2)


@pytest.mark.parametrize("fixture", ["message", "large"])
def test_slow_replica_is_left(
    fixture: str, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """A byte now and then is no time-out."""
    monkeypatch.setattr("claim_check.s3.object_reader._REPLICA_SECONDS", 0.1)
    monkeypatch.setattr("claim_check.s3.object_reader._REPLICA_BYTES_PER_SECOND", 2**40)
    monkeypatch.setattr("claim_check.s3.parallel_read.STALL_SECONDS", 0.01)
    found: Message = request.getfixturevalue(fixture)
    replicate(fake_s3, NEAR)
    ended = threading.Event()
    fake_s3.pause(1000, ended)
    fake_s3.before_get = lambda number: ended.set() if number > 1 else None
    if fixture == "message":
        threading.Timer(0.2, ended.set).start()
    assert found.payload.read() == DATA
    assert gets(fake_s3)[-1] == "payloads-one"


def test_store_may_be_slow(message: Message, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claim_check.s3.object_reader._REPLICA_SECONDS", -1)
    assert message.payload.read() == DATA


def test_pointer_into_replica_is_untrusted(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    near = Store(store.bucket, store.prefix, store.owner, store.region, replicas=(NEAR,))
    with pytest.raises(UntrustedStore):
        Dereferencer(stores=[near], s3=s3).message(pointing(NEAR.bucket, "payloads/m-1"))
    assert fake_s3.requests == []
