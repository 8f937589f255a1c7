"""Offloading: one object, in parts, complete or not at all."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from claim_check import (
    InvalidMessage,
    ObjectOptions,
    PayloadConflict,
    PayloadTooLarge,
    PayloadUnavailable,
    Pointer,
    Store,
    offload,
)
from claim_check.memory import Memory
from claim_check.publishing import offload as offloading_module
from claim_check.publishing.offload import ObjectWriter, equal_part_bytes, stream_part_bytes
from claim_check.publishing.source import SourceReader
from claim_check.s3.crc32 import base64_crc32
from claim_check.s3.multipart import pieces_of
from tests.lambdas.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SMALL = b"abc"
MIB = 2**20
# An eighth of the real sizes, so that many payloads are sent in little time.
PUT, PART, LARGEST_PART = MIB, 5 * MIB // 8, 2 * MIB
LARGE = bytes(range(256)) * 8_750  # 2.24 MB: four parts
KEY = ("payloads-one", "payloads/m-1")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offloading_module, "_PAUSE_SECONDS", 0)


@pytest.fixture
def real_sizes() -> None:
    """The sizes of the library."""


@pytest.fixture(autouse=True)
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_sizes" not in request.fixturenames:
        for name, value in {"PUT_BYTES": PUT, "PART_BYTES": PART, "_LARGEST_EQUAL_PART_BYTES": LARGEST_PART}.items():
            monkeypatch.setattr(offloading_module, name, value)


def test_small_payload_is_one_verified_request(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    offloaded = offload(SMALL, store=store, message_id="m-1", s3=s3)
    assert offloaded.pointer == Pointer(*KEY)
    assert (offloaded.size, offloaded.sha256) == (3, hashlib.sha256(SMALL).hexdigest())
    assert offloaded.created
    assert fake_s3.requests == ["PUT /payloads-one/payloads/m-1"]
    assert fake_s3.headers[0]["if-none-match"] == "*"
    assert fake_s3.headers[0]["x-amz-expected-bucket-owner"] == store.owner
    assert "x-amz-checksum-sha256" in fake_s3.headers[0]


@pytest.fixture(params=["bytes", "buffer", "path", "file", "stream"])
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[bytes], Any]]:
    """A function that returns a payload of one type with these bytes."""
    path = tmp_path / "payload"
    files: list[Any] = []

    def payload(data: bytes) -> Any:
        path.write_bytes(b"before" + data if request.param == "file" else data)
        files.append(path.open("rb"))
        files[-1].seek(len(b"before"))
        return {
            "bytes": data,
            "buffer": bytearray(data),
            "path": path,
            "file": files[-1],
            "stream": (data[start : start + 99_999] for start in range(0, len(data), 99_999)),
        }[request.param]

    yield payload
    for file in files:
        file.close()


def test_large_payload_is_sent_in_parts(
    large: Callable[[bytes], Any], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    offloaded = offload(large(LARGE), store=store, message_id="m-1", s3=s3)
    assert (offloaded.size, offloaded.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert offloaded.crc32 == base64_crc32(zlib.crc32(LARGE)) == fake_s3.objects[KEY].crc32
    assert fake_s3.objects[KEY].data == LARGE
    assert len(fake_s3.requests_of("PUT")) == 4
    assert all(headers["x-amz-expected-bucket-owner"] == store.owner for headers in fake_s3.headers)
    assert all(headers.get("expect") is None for headers in fake_s3.headers)
    begin = fake_s3.headers[fake_s3.requests.index("POST /payloads-one/payloads/m-1?uploads")]
    completion = fake_s3.headers[-1]
    assert (begin["x-amz-checksum-algorithm"], begin["x-amz-checksum-type"]) == ("CRC32", "FULL_OBJECT")
    assert completion["x-amz-checksum-type"] == "FULL_OBJECT"
    assert (completion["if-none-match"], completion["x-amz-mp-object-size"]) == ("*", str(len(LARGE)))


@pytest.mark.parametrize("size", [0, PART, PUT - 1, PUT, PUT + 1])
def test_payload_up_to_a_size_is_one_request(
    size: int, large: Callable[[bytes], Any], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    data = LARGE[:size]
    offloaded = offload(large(data), store=store, message_id="m-1", s3=s3)
    assert len(fake_s3.requests) == (1 if size <= PUT else 5)
    assert fake_s3.objects[KEY].data == data
    assert (offloaded.sha256, offloaded.crc32 is None) == (hashlib.sha256(data).hexdigest(), size <= PUT)


def test_position_of_a_file_does_not_move(s3: S3Client, store: Store, tmp_path: Path, fake_s3: FakeS3) -> None:
    path = tmp_path / "payload"
    path.write_bytes(LARGE)
    with path.open("r+b") as file:
        file.write(b"new")  # still in the file object's buffer
        offload(file, store=store, message_id="m-1", s3=s3)
        assert file.tell() == 3
    assert fake_s3.objects[KEY].data == LARGE[3:]


def test_client_has_the_region_of_the_store(s3: S3Client, store: Store) -> None:
    assert offload(SMALL, store=store, message_id="m-1", s3={store.region: s3}.__getitem__).created


def test_same_large_payload_is_not_sent_again(
    large: Callable[[bytes], Any], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    first = offload(LARGE, store=store, message_id="m-1", s3=s3)
    fake_s3.requests.clear()
    assert offload(large(LARGE), store=store, message_id="m-1", s3=s3) == first._replace(created=False)
    assert fake_s3.uploads == {}
    # The upload is begun and aborted, because S3 is asked for the object at the same time.
    assert sorted(request.partition(" ")[0] for request in fake_s3.requests) == ["DELETE", "HEAD", "POST"]


def test_other_large_payload_under_the_same_id_is_not_sent(
    large: Callable[[bytes], Any], s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    offload(LARGE, store=store, message_id="m-1", s3=s3)
    fake_s3.requests.clear()
    for other in (LARGE[:-1] + b"!", LARGE[:-1], LARGE + b"!"):
        with pytest.raises(PayloadConflict, match="choose an unused id"):
            offload(large(other), store=store, message_id="m-1", s3=s3)
    assert fake_s3.requests_of("PUT") + fake_s3.requests_of("GET") == []
    assert (fake_s3.objects[KEY].data, fake_s3.uploads) == (LARGE, {})


@pytest.mark.parametrize("data", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("checksum", ["none", "sha256", "crc32"])
def test_object_of_another_writer_is_compared(
    checksum: str, data: bytes, s3: S3Client, store: Store, fake_s3: FakeS3
) -> None:
    checksums = {"sha256": hashlib.sha256(data).digest(), "crc32": zlib.crc32(data).to_bytes(4, "big")}
    known = {checksum: base64.b64encode(checksums[checksum]).decode()} if checksum in checksums else {}
    fake_s3.objects[KEY] = fake_s3.stored(data, **known)
    offloaded = offload(data, store=store, message_id="m-1", s3=s3)
    assert (offloaded.created, offloaded.crc32) == (False, known.get("crc32"))
    assert len(fake_s3.requests_of("GET")) == (checksum == "none")
    with pytest.raises(PayloadConflict):
        offload(data[:-1] + b"!", store=store, message_id="m-1", s3=s3)


def test_writer_without_permission_to_read_is_no_failure(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.fail("HEAD", 403, "AccessDenied")
    assert offload(LARGE, store=store, message_id="m-1", s3=s3).created


def test_object_stored_meanwhile_is_the_same_payload(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    def another_writer(request: str) -> None:
        if "partNumber=2" in request:
            fake_s3.objects[KEY] = fake_s3.stored(LARGE, crc32=base64_crc32(zlib.crc32(LARGE)))

    fake_s3.hook = another_writer
    assert not offload(LARGE, store=store, message_id="m-1", s3=s3).created
    assert fake_s3.uploads == {}


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
            fake_s3.lose_response(method)

        source: Any = losing_the_last_answer()
    else:
        fake_s3.lose_response(method)
        source = payload
    assert offload(source, store=store, message_id="m-1", s3=s3).size == len(payload)
    assert fake_s3.objects[KEY].data == payload


def test_temporary_writer_of_the_key_is_no_failure(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 409, "ConditionalRequestConflict", times=2)
    assert offload(SMALL, store=store, message_id="m-1", s3=s3).created


@pytest.mark.parametrize(("payload", "method"), [(SMALL, "PUT"), (LARGE, "POST")], ids=["small", "large"])
def test_permanent_writer_of_the_key_is_unavailable(
    payload: bytes, method: str, s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(offloading_module, "_PAUSE_SECONDS", 1)
    monkeypatch.setattr(offloading_module, "time", SimpleNamespace(sleep=pauses.append))
    on = "uploadId" if payload is LARGE else ""
    fake_s3.fail(method, 409, "ConditionalRequestConflict", times=9, on=on)
    with pytest.raises(PayloadUnavailable, match="publish again") as caught:
        offload(payload, store=store, message_id="m-1", s3=s3)
    assert not caught.value.permanent
    assert pauses == ([0, 1, 2] if payload is SMALL else [])
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
    assert not hasattr(caught.value, "__notes__")
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})


def test_failed_abort_is_a_note_on_the_error(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 403, "AccessDenied", on="partNumber=3")
    fake_s3.fail("DELETE", 403, "AccessDenied")
    with pytest.raises(PayloadUnavailable) as caught:
        offload(LARGE, store=store, message_id="m-1", s3=s3)
    (upload,) = fake_s3.uploads
    (note,) = caught.value.__notes__
    assert re.fullmatch(f"upload {upload} was not aborted: .*AccessDenied.*", note)


def test_bucket_of_another_owner_is_not_written(s3: S3Client, fake_s3: FakeS3) -> None:
    store = Store("payloads-one", "payloads/", "999999999999", "eu-west-1")
    for payload in (SMALL, LARGE):
        with pytest.raises(PayloadUnavailable, match="another owner"):
            offload(payload, store=store, message_id="m-1", s3=s3)
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})


def test_invalid_id_is_rejected(s3: S3Client, store: Store) -> None:
    with pytest.raises(InvalidMessage, match="pass a digest"):
        offload(SMALL, store=store, message_id="../x", s3=s3)


@pytest.mark.usefixtures("real_sizes")
@pytest.mark.parametrize(
    ("size", "parts", "largest"),
    [
        (8 * MIB + 1, 2, 5 * MIB),
        (64 * MIB, 13, 5 * MIB),
        (80 * MIB, 16, 5 * MIB),
        (256 * MIB, 16, 16 * MIB),
        (257 * MIB, 32, 8.1 * MIB),
        (1024 * MIB, 64, 16 * MIB),
        (5 * 2**40, 10_000, 525 * MIB),
        (50_000 * 2**30, 10_000, 5 * 2**30),
    ],
)
def test_parts_are_equal_and_a_multiple_of_16(size: int, parts: int, largest: float) -> None:
    step = equal_part_bytes(size, 16)
    assert -(-size // step) == parts
    assert 5 * MIB <= step <= largest


@pytest.mark.usefixtures("real_sizes")
def test_parts_of_one_connection_have_up_to_16_mib() -> None:
    assert equal_part_bytes(64 * MIB, 1) == 16 * MIB


@pytest.mark.usefixtures("real_sizes")
@pytest.mark.parametrize(("memory", "tebibytes", "largest"), [(40, 0.17, 20), (1024, 3.3, 512), (1, 0.04, 5)])
def test_stream_parts_grow_up_to_half_of_the_memory(memory: int, tebibytes: float, largest: int) -> None:
    sizes = [stream_part_bytes(number, memory * MIB) for number in range(1, 10_001)]
    assert set(sizes[:1_000]) == {5 * MIB}
    assert all(earlier <= later for earlier, later in pairwise(sizes))
    assert sizes[-1] == largest * MIB
    assert sum(sizes) > tebibytes * 2**40


@pytest.mark.usefixtures("real_sizes")
def test_stream_parts_have_up_to_5_gib() -> None:
    assert stream_part_bytes(10_000, 2**40) == 1_255 * MIB
    assert stream_part_bytes(100_000, 2**40) == 5 * 2**30


@pytest.mark.parametrize("step", [1, 7, 10, 64, 200])
def test_growing_parts_hold_all_bytes(
    step: int, s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PUT_BYTES": 10, "PART_BYTES": 10, "_FLAT_PARTS": 2, "_GROWTH_PARTS": 1}.items():
        monkeypatch.setattr(offloading_module, name, value)
    data = bytes(range(200))
    offload((data[start : start + step] for start in range(0, 200, step)), store=store, message_id="m-1", s3=s3)
    parts = sorted(
        (int(re.findall(r"partNumber=(\d+)", request)[0]), int(headers["content-length"]))
        for request, headers in zip(fake_s3.requests, fake_s3.headers, strict=True)
        if request.startswith("PUT")
    )
    assert [size for _, size in parts] == [10, 10, 20, 30, 40, 50, 40]
    assert fake_s3.objects[KEY].data == data


@pytest.mark.usefixtures("real_sizes")
@pytest.mark.parametrize(("memory", "mebibytes"), [(1, 20), (12, 30), (40, 60)])
def test_stream_buffers_are_within_the_memory_limit(
    memory: int, mebibytes: int, s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    class Limited(Memory):
        @property
        def held(self) -> int:
            return super().held

    limit = Limited(memory * MIB)
    monkeypatch.setattr(offloading_module, "Memory", lambda _: limit)
    chunks = (made.append(limit.held) or bytes(MIB) for _ in range(mebibytes))  # type: ignore[func-returns-value]
    assert offload(chunks, store=store, message_id="m-1", s3=s3, memory=memory * MIB).size == mebibytes * MIB
    assert 0 < max(made) <= max(memory, 5.5) * MIB
    assert limit.held == 0


def test_more_parts_than_s3_allows_are_too_large(
    s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offloading_module, "MAXIMUM_PARTS", 2)
    with pytest.raises(PayloadTooLarge, match=r"more than 1310720 bytes, .* 2 parts here: pass a file, or a") as caught:
        offload([LARGE], store=store, message_id="m-1", s3=s3)
    assert caught.value.message_id == "m-1"
    assert (fake_s3.uploads, fake_s3.objects) == ({}, {})


def test_stream_of_the_most_parts_is_stored(
    s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offloading_module, "MAXIMUM_PARTS", 2)
    assert offload([bytes(2 * PART)], store=store, message_id="m-1", s3=s3).size == 2 * PART


def test_blob_of_more_than_48_tib_is_too_large(
    s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAXIMUM_PARTS", "MAXIMUM_PART_BYTES"):
        monkeypatch.setattr(offloading_module, name, 1)
    with pytest.raises(PayloadTooLarge, match="more than 1 bytes"):
        offload(LARGE, store=store, message_id="m-1", s3=s3)
    assert fake_s3.requests_of("PUT") == []
    assert fake_s3.uploads == {}


class TestChangedPayload:
    """A payload that changes while it is sent is never stored."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "payload"
        path.write_bytes(LARGE)
        return path

    def rejected(self, payload: Any, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
        with pytest.raises(InvalidMessage, match="changed while it was sent: publish a file or buffer that nothing"):
            offload(payload, store=store, message_id="m-1", s3=s3)
        assert (fake_s3.uploads, fake_s3.objects) == ({}, {})

    @pytest.mark.parametrize("change", ["shorter", "longer"])
    def test_length_of_a_file_is_compared(
        self, change: str, path: Path, s3: S3Client, store: Store, fake_s3: FakeS3
    ) -> None:
        def changing(request: str) -> None:
            if request.endswith("?uploads"):
                os.truncate(path, len(LARGE) + (1 if change == "longer" else -1))

        fake_s3.hook = changing
        self.rejected(path, s3, store, fake_s3)

    @pytest.mark.parametrize("kind", ["file", "buffer"])
    def test_digested_bytes_are_the_sent_bytes(
        self,
        kind: str,
        path: Path,
        s3: S3Client,
        store: Store,
        fake_s3: FakeS3,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        buffer = bytearray(LARGE)

        def changed_after_sending(blob: Any, size: int) -> Iterator[bytes | memoryview]:
            while len(fake_s3.requests_of("PUT")) < 4:
                time.sleep(0.01)
            buffer[0] = 1
            with path.open("r+b") as file:
                file.write(b"\1")
            return pieces_of(blob, size)

        monkeypatch.setattr(offloading_module, "pieces_of", changed_after_sending)
        self.rejected(path if kind == "file" else buffer, s3, store, fake_s3)

    @pytest.mark.parametrize("code", ["BadDigest", "XAmzContentSHA256Mismatch"])
    def test_part_rejected_for_its_checksum_has_changed(
        self, code: str, path: Path, s3: S3Client, store: Store, fake_s3: FakeS3
    ) -> None:
        fake_s3.fail("PUT", 400, code, on="partNumber=2")
        self.rejected(path, s3, store, fake_s3)


class TestForeignServer:
    """A response of success without an ETag is not S3's: a proxy answered, or another server."""

    @pytest.mark.parametrize(
        ("data", "method", "on"),
        [
            (SMALL, "PUT", ""),
            (LARGE, "POST", "uploads"),
            (LARGE, "PUT", "partNumber=3"),
            (LARGE, "POST", "uploadId"),
        ],
    )
    @pytest.mark.parametrize("body", [b"", b"<Result/>", b"<html>sign in<br></html>"], ids=["empty", "xml", "html"])
    def test_response_without_etag_is_a_failure(
        self, data: bytes, method: str, on: str, body: bytes, s3: S3Client, store: Store, fake_s3: FakeS3
    ) -> None:
        for _ in range(2):  # boto reads HTML as a failure of S3, and retries once
            fake_s3.answer(method, body, on=on)
        problem = "S3 returned 500" if b"html" in body else "not S3's: check the endpoint and the proxies"
        with pytest.raises(PayloadUnavailable, match=problem) as caught:
            offload(data, store=store, message_id="m-1", s3=s3)
        assert not caught.value.permanent
        assert caught.value.message_id == "m-1"

    @pytest.mark.parametrize("on", ["uploads", "uploadId"])
    def test_error_in_a_response_of_success_is_an_error(
        self, on: str, s3: S3Client, store: Store, fake_s3: FakeS3
    ) -> None:
        for _ in range(2):  # boto retries once
            fake_s3.answer("POST", b"<Error><Code>InternalError</Code></Error>", on=on)
        with pytest.raises(PayloadUnavailable, match="InternalError"):
            offload(LARGE, store=store, message_id="m-1", s3=s3)
        assert (fake_s3.uploads, fake_s3.objects) == ({}, {})


class TestProgress:
    def test_progress_counts_stored_bytes(
        self, large: Callable[[bytes], Any], s3: S3Client, store: Store, fake_s3: FakeS3
    ) -> None:
        counts: list[int] = []
        thread = threading.get_ident()

        def progress(count: int) -> None:
            assert threading.get_ident() == thread
            counts.append(count)

        offload(large(LARGE), store=store, message_id="m-1", s3=s3, progress=progress)
        assert counts == sorted(counts)
        assert (counts[-1], len({*counts} - {0})) == (len(LARGE), 4)  # 0 only if the upload's begin takes long

    def test_progress_is_called_while_bytes_are_digested(
        self, s3: S3Client, store: Store, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counts: list[int] = []

        def after_the_parts(blob: Any, size: int) -> Iterator[bytes | memoryview]:
            counts.clear()
            while len(fake_s3.requests_of("PUT")) < 4:
                time.sleep(0.01)
            yield from pieces_of(blob, size)
            assert counts

        monkeypatch.setattr(offloading_module, "pieces_of", after_the_parts)
        offload(LARGE, store=store, message_id="m-1", s3=s3, progress=counts.append)

    def test_progress_of_one_request_is_its_size(self, s3: S3Client, store: Store) -> None:
        counts: list[int] = []
        offload(SMALL, store=store, message_id="m-1", s3=s3, progress=counts.append)
        assert counts == [3]

    @pytest.mark.parametrize(
        ("data", "on"), [(SMALL, "m-1"), (LARGE, "?uploads"), (LARGE, "partNumber=1&"), (LARGE, "m-1?uploadId")]
    )
    def test_progress_is_called_while_s3_is_slow(
        self, data: bytes, on: str, s3: S3Client, store: Store, fake_s3: FakeS3, short_waits: None
    ) -> None:
        def progress(count: int) -> None:
            counts.append(count)
            if counts.count(count) == 2:
                released.set()

        counts: list[int] = []
        released = threading.Event()
        fake_s3.hook = lambda request: released.wait(20) if on in request else None
        offload(data, store=store, message_id="m-1", s3=s3, progress=progress)
        assert released.is_set()
        assert (counts == sorted(counts), counts[-1]) == (True, len(data))

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
    def test_error_of_progress_ends_the_call(self, data: bytes, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
        failure = ClientError({"Error": {"Code": "NoSuchKey", "Message": "the caller's own call"}}, "Other")

        def progress(_: int) -> None:
            raise failure

        with pytest.raises(ClientError) as caught:
            offload(data, store=store, message_id="m-1", s3=s3, progress=progress)
        assert caught.value is failure
        assert fake_s3.uploads == {}


OPTIONS = ObjectOptions(kms_key="alias/a", tags={"team": "a b"}, storage_class="GLACIER_IR", content_type="image/tiff")


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_object_has_its_options(data: bytes, s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    offload(data, store=store, message_id="m-1", s3=s3, options=OPTIONS)
    begin = next(
        headers
        for request, headers in zip(fake_s3.requests, fake_s3.headers, strict=True)
        if request.split("?")[-1] in {"uploads", "PUT /payloads-one/payloads/m-1"}
    )
    assert begin["x-amz-server-side-encryption"] == "aws:kms"
    assert begin["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/a"
    assert begin["x-amz-tagging"] == "team=a+b"
    assert begin["x-amz-storage-class"] == "GLACIER_IR"
    assert begin["content-type"] == "image/tiff"


@pytest.mark.parametrize(("memory", "connections", "expected"), [(40 * MIB, 3, 3), (MIB, 16, 2), (40 * MIB, 16, 13)])
def test_requests_at_a_time_are_limited_by_memory_and_client(
    memory: int, connections: int, expected: int, store: Store, fake_s3: FakeS3
) -> None:
    running: list[str] = []
    counts: list[int] = []
    reached = threading.Event()

    def hook(request: str) -> None:
        if "partNumber" not in request:
            return
        running.append(request)
        counts.append(len(running))
        if len(running) == expected:
            reached.set()
        reached.wait(10)
        time.sleep(0.02)
        running.remove(request)

    fake_s3.hook = hook
    with SourceReader(bytes(8 * MIB)) as source:
        client = fake_s3.client(max_pool_connections=connections)
        writer = ObjectWriter(client, target=store.object_of("m-1"), message_id="m-1", memory=Memory(memory))
        writer.write(source, may_exist=False)
    assert max(counts) == expected


def test_generated_id_is_not_looked_for(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    with SourceReader(LARGE) as source:
        ObjectWriter(s3, target=store.object_of("m-1"), message_id="m-1", memory=Memory()).write(
            source, may_exist=False
        )
    assert fake_s3.requests_of("HEAD") == []
