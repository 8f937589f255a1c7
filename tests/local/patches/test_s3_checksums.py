"""Patches of S3: checksums of multipart uploads."""

import base64
import zlib
from typing import Any

import pytest

from tests.local.support import Account

pytestmark = pytest.mark.system

PARTS = [b"a" * (5 << 20), b"b" * 1000]
CRC32 = base64.b64encode(zlib.crc32(b"".join(PARTS)).to_bytes(4, "big")).decode()


def _uploaded(account: Account, **kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Upload an object in two parts, and return the responses to CompleteMultipartUpload and HeadObject."""
    s3, bucket = account.client("s3"), account.bucket()
    upload = s3.create_multipart_upload(Bucket=bucket, Key="key", ChecksumAlgorithm="CRC32", **kind)
    target = {"Bucket": bucket, "Key": "key", "UploadId": upload["UploadId"]}
    parts = []
    for number, body in enumerate(PARTS, start=1):
        response = s3.upload_part(**target, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        parts.append({"PartNumber": number, "ETag": response["ETag"], "ChecksumCRC32": response["ChecksumCRC32"]})
    completed = s3.complete_multipart_upload(**target, **kind, MultipartUpload={"Parts": parts})
    return completed, s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")


@pytest.mark.patched
@pytest.mark.aws
def test_upload_has_checksum_of_the_whole_object(publisher: Account) -> None:
    for response in _uploaded(publisher, ChecksumType="FULL_OBJECT"):
        assert (response["ChecksumCRC32"], response["ChecksumType"]) == (CRC32, "FULL_OBJECT")


@pytest.mark.aws
def test_upload_has_composite_checksum_by_default(publisher: Account) -> None:
    for response in _uploaded(publisher):
        assert (response["ChecksumCRC32"][-2:], response["ChecksumType"]) == ("-2", "COMPOSITE")
