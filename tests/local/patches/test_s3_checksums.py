"""Patches of S3: checksums of multipart uploads and of copies."""

import base64
import hashlib
import zlib
from typing import Any

import pytest

from tests.local.support import Account

pytestmark = pytest.mark.system

PARTS = [b"a" * (5 << 20), b"b" * 1000]
CRC32 = base64.b64encode(zlib.crc32(b"".join(PARTS)).to_bytes(4, "big")).decode()


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _uploaded(account: Account, **kind: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Upload an object in two parts. Return bucket and responses to CompleteMultipartUpload and HeadObject."""
    s3, bucket = account.client("s3"), account.bucket()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key", ChecksumAlgorithm="CRC32", **kind)
    target = {"Bucket": bucket, "Key": "key", "UploadId": upload["UploadId"]}
    parts = []
    for number, body in enumerate(PARTS, start=1):
        response = s3.upload_part(**target, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": response["ETag"], "ChecksumCRC32": response["ChecksumCRC32"]})
    completed = s3.complete_multipart_upload(**target, **kind, MultipartUpload={"Parts": parts})
    return bucket, completed, s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")


@pytest.mark.patched
@pytest.mark.aws
def test_upload_has_checksum_of_the_whole_object(publisher: Account) -> None:
    for response in _uploaded(publisher, ChecksumType="FULL_OBJECT")[1:]:
        assert (response["ChecksumCRC32"], response["ChecksumType"]) == (CRC32, "FULL_OBJECT")


@pytest.mark.aws
def test_upload_has_composite_checksum_by_default(publisher: Account) -> None:
    for response in _uploaded(publisher)[1:]:
        assert (response["ChecksumCRC32"][-2:], response["ChecksumType"]) == ("-2", "COMPOSITE")


@pytest.mark.patched
@pytest.mark.aws
def test_copy_has_checksum_of_the_whole_object(publisher: Account) -> None:
    s3, (bucket, _, _) = publisher.client("s3"), _uploaded(publisher)

    source = {"Bucket": bucket, "Key": "key"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")

    expected = _sha256(b"".join(PARTS))
    assert copied["CopyObjectResult"]["ChecksumSHA256"] == expected
    for version in ({}, {"VersionId": copied["VersionId"]}):
        head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED", **version)
        assert head["ChecksumSHA256"] == expected
        assert "ChecksumCRC32" not in head
    assert s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")["Body"].read() == b"".join(PARTS)


@pytest.mark.aws
def test_copy_is_of_the_requested_version(publisher: Account) -> None:
    s3, bucket = publisher.client("s3"), publisher.bucket()
    first = s3.put_object(Bucket=bucket, Key="outbox/1", Body=b"first")["VersionId"]
    s3.put_object(Bucket=bucket, Key="outbox/1", Body=b"second")
    source = {"Bucket": bucket, "Key": "outbox/1", "VersionId": first}

    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")

    assert copied["CopyObjectResult"]["ChecksumSHA256"] == _sha256(b"first")
    assert copied["CopySourceVersionId"] == first
    s3.delete_object(Bucket=bucket, Key="outbox/1", VersionId=first)
    assert s3.get_object(Bucket=bucket, Key="outbox/1")["Body"].read() == b"second"
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"first"
