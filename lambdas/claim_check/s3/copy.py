"""Server-side copies: S3 moves the bytes, across accounts and Regions, and digests them; none passes through here."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from claim_check.s3.client import GIB, MIB
from claim_check.s3.multipart import MOST_PARTS, MultipartUpload

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object

LARGEST_SINGLE_COPY = 5 * GIB
_part = 512 * MIB
_workers = 8  # S3 does the work, about 100 MB/s a part; a thread here only waits


class Copied(NamedTuple):
    """What S3 says of a copy. `sha256` (hex) is of the whole object, None above 5 GiB, where S3 can only give
    `crc64nvme` (base64) of the whole."""

    size: int
    sha256: str | None
    crc64nvme: str | None = None


def copy_object(
    s3: S3Client,
    *,
    source: S3Object,
    target: S3Object,
    size: int,
    etag: str | None = None,
    metadata: Mapping[str, str] | None = None,
    only_if_new: bool = False,
) -> Copied:
    """Copies one object of `size` bytes; `s3` is a client of the target's Region.

    With `etag` only if the source still has it; with `only_if_new` only if the target's key is free (412 otherwise).
    With `metadata` the copy carries it in the place of the source's. Tags and annotations stay behind: they would need
    permissions of their own, and a payload is its bytes. Raises what boto raises.
    """
    request: dict[str, Any] = {
        "CopySource": _copy_source(source),
        "ExpectedSourceBucketOwner": source.owner,
        **({"CopySourceIfMatch": etag} if etag else {}),
    }
    if not tells_sha256(size):
        return _in_parts(s3, request, target=target, size=size, metadata=metadata, only_if_new=only_if_new)
    request |= {
        "Bucket": target.bucket,
        "Key": target.key,
        "ExpectedBucketOwner": target.owner,
        "ChecksumAlgorithm": "SHA256",
        "TaggingDirective": "REPLACE",
        **({"MetadataDirective": "REPLACE", "Metadata": dict(metadata)} if metadata is not None else {}),
        **_understood(s3, AnnotationDirective="EXCLUDE", **({"IfNoneMatch": "*"} if only_if_new else {})),
    }
    result = s3.copy_object(**request)["CopyObjectResult"]
    return Copied(size, hex_sha256(result))


def tells_sha256(size: int) -> bool:
    """Whether S3 says the SHA-256 of a copy of so many bytes: those that it makes in one piece."""
    return size <= LARGEST_SINGLE_COPY


def hex_sha256(answer: Mapping[str, Any]) -> str | None:
    """The SHA-256 of a whole object in S3's answer, as hex; None when the answer has none (or one of parts: "…-7")."""
    value = answer.get("ChecksumSHA256", "-")
    return None if "-" in value else base64.b64decode(value).hex()


def _in_parts(
    s3: S3Client,
    source: Mapping[str, Any],
    *,
    target: S3Object,
    size: int,
    metadata: Mapping[str, str] | None,
    only_if_new: bool,
) -> Copied:
    step = max(_part, -(-size // MOST_PARTS))
    with MultipartUpload.begin(
        s3,
        bucket=target.bucket,
        key=target.key,
        owner=target.owner,
        algorithm="CRC64NVME",
        checksum_type="FULL_OBJECT",
        workers=_workers,
        metadata=metadata,
    ) as upload:
        for number, first in enumerate(range(0, size, step), start=1):
            upload.copy(number, first=first, last=min(first + step, size) - 1, source=source)
        result = upload.complete(size=size, only_if_new=only_if_new)
    return Copied(size, None, result.get("ChecksumCRC64NVME"))


def _copy_source(source: S3Object) -> dict[str, str]:
    place = {"Bucket": source.bucket, "Key": source.key}
    return place | ({"VersionId": source.version_id} if source.version_id else {})


def _understood(s3: S3Client, **parameters: str) -> dict[str, str]:
    # The Lambda runtime's boto3 is older than PyPI's, and boto3 refuses a parameter it does not know. These two only
    # save work: without them S3 copies annotations, too, and copies once more over the same bytes.
    shape = s3.meta.service_model.operation_model("CopyObject").input_shape
    return {name: value for name, value in parameters.items() if shape and name in shape.members}
