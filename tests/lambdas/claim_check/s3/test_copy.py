"""Copies by S3: in one request or in parts, with and without overwriting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from claim_check import ObjectOptions, S3Object
from claim_check.s3 import copy as copying_module
from claim_check.s3.response import NotFromService
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

from typing import TYPE_CHECKING

from claim_check.s3.copy import Copied, copy_object

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

GIB = 2**30
SOURCE = S3Object("uploads-one", "a", OWNER, "eu-west-1")
TARGET = S3Object("payloads-one", "b", OWNER, "eu-west-1")


@pytest.mark.parametrize(("size", "parts"), [(3, 0), (5 * GIB, 0), (5 * GIB + 1, 11)])
def test_copy_up_to_5_gib_is_one_request(size: int, parts: int, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    if 3 < size <= 5 * GIB:  # the fake's digest of 5 GiB would take long
        fake_s3.objects["uploads-one", "a"].data = Zeros(3)
    copied = copy_object(s3, source=SOURCE, target=TARGET, size=size)
    assert copied.size == size
    numbers = [request.partition("partNumber=")[2].partition("&")[0] for request in fake_s3.requests_of("PUT")]
    assert sorted(int(number) for number in numbers if number) == list(range(1, parts + 1))
    assert len(fake_s3.requests_of("PUT")) == max(parts, 1)


def test_copy_parts_grow_with_the_size(s3: S3Client, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying_module, "MAXIMUM_PARTS", 4)
    fake_s3.put("uploads-one", "a", Zeros(6 * GIB + 1))
    copy_object(s3, source=SOURCE, target=TARGET, size=6 * GIB + 1)
    assert len(fake_s3.requests_of("PUT")) == 4
    assert len(fake_s3.objects["payloads-one", "b"].data) == 6 * GIB + 1


@pytest.mark.parametrize("size", [3, 6 * GIB])
@pytest.mark.parametrize("only_if_new", [True, False])
def test_copy_overwrites_unless_only_if_new(size: int, only_if_new: bool, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    fake_s3.put("payloads-one", "b", b"already there")
    if not only_if_new:
        copy_object(s3, source=SOURCE, target=TARGET, size=size)
        assert len(fake_s3.objects["payloads-one", "b"].data) == size
        return
    with pytest.raises(ClientError, match="PreconditionFailed"):
        copy_object(s3, source=SOURCE, target=TARGET, size=size, only_if_new=True)
    assert fake_s3.objects["payloads-one", "b"].data == b"already there"
    assert fake_s3.uploads == {}


def test_copy_has_metadata_and_no_tags(s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", b"abc")
    copied = copy_object(s3, source=SOURCE, target=TARGET, size=3, metadata={"name": "value"})
    headers = fake_s3.headers[0]
    assert isinstance(copied, Copied)
    assert headers["x-amz-copy-source"] == "uploads-one/a"
    assert headers["x-amz-metadata-directive"] == "REPLACE"
    assert headers["x-amz-meta-name"] == "value"
    assert headers["x-amz-tagging-directive"] == "REPLACE"
    assert headers.get("x-amz-annotation-directive", "EXCLUDE") == "EXCLUDE"
    copy_object(s3, source=SOURCE, target=TARGET, size=3)
    assert "x-amz-metadata-directive" not in fake_s3.headers[1]


def test_unsupported_parameters_are_omitted(s3: S3Client) -> None:
    assert copying_module._supported(s3, IfNoneMatch="*", NotYetInvented="x") == {"IfNoneMatch": "*"}


@pytest.mark.parametrize("size", [3, 6 * GIB], ids=["one request", "parts"])
def test_copy_has_its_options(size: int, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    options = ObjectOptions(
        kms_key="alias/a", tags={"team": "x"}, storage_class="GLACIER_IR", content_type="image/tiff"
    )
    copy_object(s3, source=SOURCE, target=TARGET, size=size, metadata={}, options=options)
    headers = fake_s3.headers[0]
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/a"
    assert headers["x-amz-tagging"] == "team=x"
    assert headers["x-amz-storage-class"] == "GLACIER_IR"
    assert headers["content-type"] == "image/tiff"


@pytest.mark.parametrize(("size", "parts"), [(3, 1), (6 * GIB, 12)], ids=["one request", "parts"])
def test_progress_counts_copied_bytes(size: int, parts: int, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    counts: list[int] = []
    copy_object(s3, source=SOURCE, target=TARGET, size=size, progress=counts.append)
    assert (len(set(counts) - {0}), counts[-1]) == (parts, size)
    assert counts == sorted(counts)


@pytest.mark.parametrize(
    ("size", "method", "on"),
    [(3, "PUT", ""), (6 * GIB, "POST", "uploads"), (6 * GIB, "PUT", "partNumber=2"), (6 * GIB, "POST", "uploadId")],
)
@pytest.mark.parametrize("body", [b"", b"<Result/>"], ids=["empty", "xml"])
def test_response_of_another_server_is_an_error(
    size: int, method: str, on: str, body: bytes, s3: S3Client, fake_s3: FakeS3
) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    for _ in range(2):
        fake_s3.answer(method, body, on=on)
    with pytest.raises((NotFromService, ClientError)):
        copy_object(s3, source=SOURCE, target=TARGET, size=size)


@pytest.mark.parametrize("size", [3, 6 * GIB], ids=["one request", "parts"])
def test_error_in_a_response_of_success_is_raised(size: int, s3: S3Client, fake_s3: FakeS3) -> None:
    fake_s3.put("uploads-one", "a", Zeros(size))
    for _ in range(2):
        fake_s3.answer("PUT", b"<Error><Code>SlowDown</Code></Error>", on="partNumber=2" if size > 3 else "")
    with pytest.raises(ClientError, match="SlowDown"):
        copy_object(s3, source=SOURCE, target=TARGET, size=size)
    assert fake_s3.uploads == {}


def test_progress_is_called_while_a_copy_lasts(s3: S3Client, fake_s3: FakeS3, short_waits: None) -> None:
    counts: list[int] = []
    released = threading.Event()
    fake_s3.put("uploads-one", "a", b"abc")
    fake_s3.hook = lambda _: released.wait(20)

    def progress(count: int) -> None:
        counts.append(count)
        if len(counts) == 2:
            released.set()

    copy_object(s3, source=SOURCE, target=TARGET, size=3, progress=progress)
    assert (set(counts[:-1]), counts[-1]) == ({0}, 3)
