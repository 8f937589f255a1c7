"""Multipart uploads: bodies of parts, abort, and errors of parts."""

from __future__ import annotations

import io
import threading
import time
import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from claim_check import S3Object
from claim_check.memory import PIECE_BYTES
from claim_check.publishing.source import BytesBlob
from claim_check.s3 import multipart as multipart_module
from claim_check.s3.multipart import MultipartUpload, PartBody, pieces_of
from claim_check.s3.workers import Stopped, Workers
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DATA = bytes(range(256)) * 3_000
BLOB = BytesBlob(DATA)
TARGET = S3Object("payloads-one", "b", OWNER, "eu-west-1")
KEY = ("payloads-one", "b")


class TestPartBody:
    @pytest.fixture
    def body(self) -> PartBody:
        return PartBody(BLOB, 1_000, 600_000, Workers(1))

    def test_body_is_the_part(self, body: PartBody) -> None:
        assert len(body) == 600_000
        assert body.crc32() == zlib.crc32(DATA[1_000:601_000])
        assert body.tell() == 0
        assert body.read() == DATA[1_000:601_000]
        assert (body.read(), body.read(1), body.tell()) == (b"", b"", 600_000)

    def test_read_returns_up_to_the_requested_size(self, body: PartBody) -> None:
        """awscrt, which boto uses if it is installed, accepts no more."""
        assert [len(body.read(size)) for size in (16_384, 10 * PIECE_BYTES, 0)] == [16_384, PIECE_BYTES, 0]

    def test_body_is_sent_in_pieces_until_it_is_sent_again(self, body: PartBody) -> None:
        for _ in range(2):
            body.send_in_pieces()
            sizes = [len(body.read(16_384)) for _ in range(4)]
            assert sizes == [PIECE_BYTES, PIECE_BYTES, 600_000 - 2 * PIECE_BYTES, 0]
            body.seek(0)
            assert len(body.read(16_384)) == 16_384
            body.seek(0)

    def test_requests_of_boto_read_pieces(self, fake_s3: FakeS3) -> None:
        client = fake_s3.client(s3={"addressing_style": "path", "payload_signing_enabled": False})
        sizes: list[int] = []

        class Blob(BytesBlob):
            def read(self, first: int, size: int) -> memoryview:
                sizes.append(size)
                return super().read(first, size)

        with MultipartUpload(client, TARGET, algorithm="CRC32") as upload, upload:
            upload.create()
            upload.send(1, Blob(DATA), 0, len(DATA))
            upload.complete(only_if_new=True)
        whole = [PIECE_BYTES, PIECE_BYTES, len(DATA) - 2 * PIECE_BYTES, 0]
        assert sizes[:4] == sizes[-4:] == whole

    @pytest.mark.parametrize(
        ("offset", "whence", "position"), [(7, io.SEEK_SET, 7), (-7, io.SEEK_CUR, 93), (-7, io.SEEK_END, 599_993)]
    )
    def test_seek_is_as_in_a_file(self, offset: int, whence: int, position: int, body: PartBody) -> None:
        body.seek(100)
        assert body.seek(offset, whence) == body.tell() == position
        assert body.read() == DATA[1_000 + position : 601_000]

    def test_body_of_a_stopped_upload_raises(self) -> None:
        with Workers(1) as workers:
            body = PartBody(BLOB, 0, 10, workers)
        with pytest.raises(Stopped):
            body.read(1)


def test_pieces_are_all_bytes_in_order() -> None:
    pieces = list(pieces_of(BLOB, len(DATA)))
    assert [len(piece) for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, len(DATA) - 2 * PIECE_BYTES]
    assert b"".join(pieces) == DATA
    assert b"".join(pieces_of(BLOB, len(DATA) - 1)) == DATA[:-1]


@pytest.fixture
def upload(s3: S3Client) -> MultipartUpload:
    return MultipartUpload(s3, TARGET, algorithm="CRC32", limit=2)


def test_parts_are_completed_in_order(upload: MultipartUpload, fake_s3: FakeS3) -> None:
    with upload, upload:
        assert upload.create() is None
        for number, first in enumerate(range(0, len(DATA), 100_000), start=1):
            upload.send(number, BLOB, first, min(100_000, len(DATA) - first))
        assert upload.complete(only_if_new=True)
    assert (upload.size, upload.crc32) == (len(DATA), zlib.crc32(DATA))
    completed = fake_s3.headers[-1]
    assert completed["x-amz-mp-object-size"] == str(len(DATA))
    assert completed["x-amz-checksum-type"] == "FULL_OBJECT"
    assert fake_s3.objects[KEY].data == DATA
    assert fake_s3.requests_of("DELETE") == []


def test_part_is_sent_again_from_its_begin(upload: MultipartUpload, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 500, "InternalError", on="partNumber=1")
    with upload, upload:
        upload.create()
        upload.send(1, BLOB, 0, len(DATA))
        upload.complete(only_if_new=False)
    assert len(fake_s3.requests_of("PUT")) == 2
    assert fake_s3.objects[KEY].data == DATA


def test_part_of_a_reset_connection_is_sent_again_at_once(
    upload: MultipartUpload, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a client that the caller has made."""
    pauses: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=pauses.append))

    def reset(request: str) -> None:
        if "partNumber" in request and not pauses:
            raise ConnectionResetError

    fake_s3.hook = reset
    with upload, upload:
        upload.create()
        upload.send(1, BLOB, 0, len(DATA))
        upload.complete(only_if_new=False)
    assert pauses == [0]
    assert fake_s3.objects[KEY].data == DATA


@pytest.mark.parametrize("only_if_new", [True, False])
def test_existing_object_is_replaced_unless_only_if_new(
    only_if_new: bool, upload: MultipartUpload, fake_s3: FakeS3
) -> None:
    fake_s3.put(*KEY, b"already there")
    with upload, upload:
        upload.create()
        upload.send(1, BLOB, 0, 10)
        if only_if_new:
            with pytest.raises(ClientError, match="PreconditionFailed"):
                upload.complete(only_if_new=True)
            assert not upload.complete(only_if_new=True, codes={"PreconditionFailed"})
        else:
            assert upload.complete(only_if_new=False)["ETag"]
    assert fake_s3.objects[KEY].data == (b"already there" if only_if_new else DATA[:10])
    assert fake_s3.uploads == {}


def test_error_of_a_part_ends_the_upload(upload: MultipartUpload, fake_s3: FakeS3) -> None:
    fake_s3.fail("PUT", 403, "AccessDenied", on="partNumber=2")
    with pytest.raises(ClientError, match="AccessDenied"), upload, upload:  # noqa: PT012
        upload.create()
        for number in range(1, 50):
            upload.send(number, BLOB, 0, 10)
        upload.wait_for_all()
    assert len(fake_s3.requests_of("PUT")) < 49
    assert (fake_s3.uploads, len(fake_s3.requests_of("DELETE"))) == ({}, 1)


def test_upload_without_parts_is_aborted_once(upload: MultipartUpload, fake_s3: FakeS3) -> None:
    with upload, upload:
        assert upload.create(lambda: None) is None
    assert (fake_s3.uploads, len(fake_s3.requests_of("DELETE"))) == ({}, 1)


def test_upload_not_created_makes_no_request(upload: MultipartUpload, fake_s3: FakeS3) -> None:
    with upload, upload:
        pass
    assert fake_s3.requests == []


class NotedBlob(BytesBlob):
    """A blob that notes when its end is read the third time: for the checksum, for the signature, and to send it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.ends = 0
        self.is_sent = threading.Event()

    def read(self, first: int, size: int) -> memoryview:
        self.ends += not size
        if self.ends == 3:
            self.is_sent.set()
        return super().read(first, size)


@pytest.mark.parametrize("threads_left", [True, False])
def test_upload_waits_for_the_last_request_before_its_abort(
    upload: MultipartUpload, fake_s3: FakeS3, threads_left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 would store a part that arrives after the abort."""
    order: list[str] = []
    blob = NotedBlob(b"a part")

    def hook(request: str) -> None:
        if "partNumber" in request:
            time.sleep(0.3)
        order.append(request.split(" ")[0])

    fake_s3.hook = hook
    with pytest.raises(ValueError, match="the caller's"), upload, upload:  # noqa: PT012
        upload.create()
        upload.send(1, blob, 0, blob.size)
        blob.is_sent.wait(10)
        if not threads_left:
            monkeypatch.setattr(multipart_module, "start_thread", Mock(side_effect=RuntimeError))
        raise ValueError("the caller's")
    assert order == ["POST", "PUT", "DELETE"]


def test_part_of_a_stopped_upload_is_not_sent_to_its_end(upload: MultipartUpload, fake_s3: FakeS3) -> None:
    class Endless(BytesBlob):
        def read(self, first: int, size: int) -> memoryview:
            if first and not self.crc_is_done:
                self.crc_is_done = first + size >= len(DATA)
            elif self.crc_is_done and first:
                begun.set()
                stopped.wait(10)
            return super().read(first, size)

        crc_is_done = False

    begun, stopped = threading.Event(), threading.Event()
    with pytest.raises(ValueError, match="the caller's"), upload, upload:  # noqa: PT012
        upload.create()
        upload.send(1, Endless(DATA), 0, len(DATA))
        begun.wait(10)
        threading.Timer(0.2, stopped.set).start()
        raise ValueError("the caller's")
    assert (fake_s3.uploads, len(fake_s3.requests_of("DELETE"))) == ({}, 1)
    assert not upload._parts


def test_other_users_of_the_client_keep_expect(s3: S3Client, upload: MultipartUpload, fake_s3: FakeS3) -> None:
    with upload, upload:
        upload.create()
        upload.send(1, BLOB, 0, 10)
        upload.complete(only_if_new=True)
    assert [headers.get("expect") for headers in fake_s3.headers] == [None] * 3
    other: Any = s3.create_multipart_upload(Bucket="payloads-one", Key="c", ChecksumAlgorithm="CRC32")
    crc32 = "AAAAAA=="
    s3.upload_part(
        Bucket="payloads-one",
        Key="c",
        UploadId=other["UploadId"],
        PartNumber=1,
        Body=io.BytesIO(b""),
        ChecksumCRC32=crc32,
    )
    assert fake_s3.headers[-1]["expect"] == "100-continue"
