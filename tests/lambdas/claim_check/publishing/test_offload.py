"""Offloading: one object, in parts, complete or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from threading import Semaphore
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from claim_check import InvalidMessage, PayloadConflict, PayloadTooLarge, PayloadUnavailable, Pointer, Store, offload
from claim_check.publishing import offload as offloading_module
from claim_check.publishing.offload import part_bytes
from tests.lambdas.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SMALL = b"abc"
LARGE = bytes(range(256)) * 70_000  # 17.92 MB: four parts
KEY = ("payloads-one", "payloads/m-1")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offloading_module, "_PAUSE_SECONDS", 0)


def test_small_payload_is_one_verified_request(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    offloaded = offload(SMALL, store=store, message_id="m-1", s3=s3)
    assert offloaded.pointer == Pointer(*KEY)
    assert (offloaded.size, offloaded.sha256) == (3, hashlib.sha256(SMALL).hexdigest())
    assert offloaded.created
    assert fake_s3.requests == ["PUT /payloads-one/payloads/m-1"]
    assert fake_s3.headers[0]["if-none-match"] == "*"
    assert fake_s3.headers[0]["x-amz-expected-bucket-owner"] == store.owner
    assert "x-amz-checksum-sha256" in fake_s3.headers[0]


def test_large_payload_is_sent_in_parts_of_5_mib(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    offloaded = offload(LARGE, store=store, message_id="m-1", s3=s3)
    assert (offloaded.size, offloaded.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert fake_s3.objects[KEY].data == LARGE
    assert len(fake_s3.requests_of("PUT")) == 4
    assert all(headers["x-amz-expected-bucket-owner"] == store.owner for headers in fake_s3.headers)
    begin, completion = fake_s3.headers[0], fake_s3.headers[-1]
    assert (begin["x-amz-checksum-algorithm"], begin["x-amz-checksum-type"]) == ("CRC32", "COMPOSITE")
    assert completion["x-amz-checksum-type"] == "COMPOSITE"
    assert (completion["if-none-match"], completion["x-amz-mp-object-size"]) == ("*", str(len(LARGE)))


def test_client_has_the_region_of_the_store(s3: S3Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offloading_module, "s3_client", {store.region: s3}.__getitem__)
    assert offload(SMALL, store=store, message_id="m-1").created


@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["small", "large"])
def test_same_payload_is_a_retry(payload: bytes, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    first = offload(payload, store=store, message_id="m-1", s3=s3)
    second = offload(iter([payload]), store=store, message_id="m-1", s3=s3)
    assert (first.pointer, first.size, first.sha256) == (second.pointer, second.size, second.sha256)
    assert (first.created, second.created) == (True, False)
    assert fake_s3.uploads == {}


def test_retry_of_small_payload_compares_the_checksum(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    for _ in range(2):
        offload(SMALL, store=store, message_id="m-1", s3=s3)
    assert fake_s3.requests_of("GET") == []


@pytest.mark.parametrize("payload", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("change", ["shorter", "other"])
def test_other_payload_under_the_same_id_is_a_conflict(
    payload: bytes, change: str, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    offload(payload, store=store, message_id="m-1", s3=s3)
    other = payload[:-1] if change == "shorter" else payload[:-1] + b"!"
    with pytest.raises(PayloadConflict, match="choose an unused id") as caught:
        offload(other, store=store, message_id="m-1", s3=s3)
    assert caught.value.permanent
    assert fake_s3.objects[KEY].data == payload
    assert fake_s3.uploads == {}


@pytest.mark.parametrize(("payload", "method"), [(SMALL, "PUT"), (LARGE, "POST")], ids=["small", "large"])
def test_lost_response_is_no_failure(payload: bytes, method: str, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    if payload is LARGE:

        def losing_the_last_answer() -> Iterator[bytes]:
            yield LARGE
            fake_s3.lose_response("POST")

        source: Any = losing_the_last_answer()
    else:
        fake_s3.lose_response("PUT")
        source = payload
    assert offload(source, store=store, message_id="m-1", s3=s3).size == len(payload)
    assert fake_s3.objects[KEY].data == payload


def test_temporary_writer_of_the_key_is_no_failure(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 409, "ConditionalRequestConflict", times=2)
    assert offload(SMALL, store=store, message_id="m-1", s3=s3).created


@pytest.mark.parametrize(("payload", "method"), [(SMALL, "PUT"), (LARGE, "POST")], ids=["small", "large"])
def test_permanent_writer_of_the_key_is_unavailable(
    payload: bytes, method: str, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    on = "uploadId" if payload is LARGE else ""
    fake_s3.fail(method, 409, "ConditionalRequestConflict", times=9, on=on)
    with pytest.raises(PayloadUnavailable, match="publish again") as caught:
        offload(payload, store=store, message_id="m-1", s3=s3)
    assert not caught.value.permanent
    assert fake_s3.uploads == {}


def test_failed_source_leaves_no_upload_and_its_own_error(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    failure = ClientError({"Error": {"Code": "NoSuchKey", "Message": "the caller's own S3 object"}}, "GetObject")

    def failing() -> Iterator[bytes]:
        yield LARGE
        raise failure

    with pytest.raises(ClientError) as caught:
        offload(failing(), store=store, message_id="m-1", s3=s3)
    assert caught.value is failure
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})
    assert len(fake_s3.requests_of("DELETE")) == 1


def test_interrupt_leaves_no_upload(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    def interrupted() -> Iterator[bytes]:
        yield LARGE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        offload(interrupted(), store=store, message_id="m-1", s3=s3)
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})


@pytest.mark.parametrize("on", ["uploads", "partNumber=2", "uploadId"])
def test_failure_at_any_step_leaves_no_upload(on: str, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    method = "PUT" if on.startswith("part") else "POST"
    fake_s3.fail(method, 403, "AccessDenied", on=on)
    with pytest.raises(PayloadUnavailable, match="AccessDenied") as caught:
        offload(LARGE, store=store, message_id="m-1", s3=s3)
    assert isinstance(caught.value.__cause__, ClientError)
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})


def test_failed_abort_is_a_note_on_the_error(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 403, "AccessDenied", on="partNumber=3")
    fake_s3.fail("DELETE", 403, "AccessDenied")
    with pytest.raises(PayloadUnavailable) as caught:
        offload(LARGE, store=store, message_id="m-1", s3=s3)
    assert "was not aborted" in caught.value.__notes__[0]


def test_bucket_of_another_owner_is_not_written(s3: S3Client, fake_s3: FakeS3) -> None:
    store = Store("payloads-one", "payloads/", "999999999999", "eu-west-1")
    for payload in (SMALL, LARGE):
        with pytest.raises(PayloadUnavailable, match="another owner"):
            offload(payload, store=store, message_id="m-1", s3=s3)
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})


def test_invalid_id_is_rejected(s3: S3Client, store: Store) -> None:
    with pytest.raises(InvalidMessage, match="pass a digest"):
        offload(SMALL, store=store, message_id="../x", s3=s3)


def test_parts_hold_5_tib_and_are_equal_up_to_2_gib() -> None:
    assert sum(part_bytes(number) for number in range(1, 10_001)) > 5 * 2**40
    assert max(part_bytes(number) for number in range(1, 10_001)) < 5 * 2**30
    assert {part_bytes(number) for number in range(1, 2**31 // part_bytes(1) + 1)} == {5 * 2**20}


def test_growing_parts_hold_all_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offloading_module, "PART_BYTES", 10)
    monkeypatch.setattr(offloading_module, "_FLAT_PARTS", 2)
    monkeypatch.setattr(offloading_module, "_GROWTH_PARTS", 1)
    data = bytes(range(200))
    for step in (1, 7, 10, 64, 200):
        parts = list(
            offloading_module._parts((data[start : start + step] for start in range(0, 200, step)), Semaphore(99))
        )
        assert b"".join(parts) == data
        assert [len(part) for part in parts] == [10, 10, 20, 30, 40, 50, 40]


def test_more_parts_than_s3_allows_are_too_large(
    s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offloading_module, "MAXIMUM_PARTS", 2)
    with pytest.raises(PayloadTooLarge, match="10485760 bytes") as caught:
        offload(LARGE, store=store, message_id="m-1", s3=s3)
    assert caught.value.message_id == "m-1"
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})
