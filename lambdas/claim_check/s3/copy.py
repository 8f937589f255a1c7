"""Server-side copies: S3 copies the bytes, across accounts and Regions, and computes their checksum."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from claim_check.s3.client import GIB, MIB
from claim_check.s3.multipart import MAXIMUM_PARTS, MultipartUpload

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object

LARGEST_SINGLE_COPY_BYTES = 5 * GIB
PART_BYTES = 512 * MIB
_WORKERS = 8  # S3 copies about 100 MB/s a part; the threads here only wait


class Copied(NamedTuple):
    """A copy's size and checksum, as S3 reports them.

    `sha256` (hex) is of the whole object. It is None above 5 GiB, where S3 computes only `crc64nvme` (base64) of the
    whole object.
    """

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
    """Copy one object of `size` bytes. `s3` is a client of the target's Region. Raises boto's errors.

    With `etag`, S3 copies only if the source still has it. With `only_if_new`, S3 copies only if the target does not
    exist (otherwise status 412). `metadata` replaces the source's. Tags and annotations are not copied: they
    require further permissions.
    """
    request: dict[str, Any] = {
        "CopySource": _copy_source(source),
        "ExpectedSourceBucketOwner": source.owner,
        **({"CopySourceIfMatch": etag} if etag else {}),
    }
    if not has_sha256(size):
        return _copy_parts(s3, request, target=target, size=size, metadata=metadata, only_if_new=only_if_new)
    request |= {
        "Bucket": target.bucket,
        "Key": target.key,
        "ExpectedBucketOwner": target.owner,
        "ChecksumAlgorithm": "SHA256",
        "TaggingDirective": "REPLACE",
        **({"MetadataDirective": "REPLACE", "Metadata": dict(metadata)} if metadata is not None else {}),
        **_supported(s3, AnnotationDirective="EXCLUDE", **({"IfNoneMatch": "*"} if only_if_new else {})),
    }
    result = s3.copy_object(**request)["CopyObjectResult"]
    return Copied(size, hex_sha256(result))


def has_sha256(size: int) -> bool:
    """Return whether S3 reports the SHA-256 of a copy of `size` bytes. S3 does so only for a copy in one request."""
    return size <= LARGEST_SINGLE_COPY_BYTES


def hex_sha256(response: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of a whole object in S3's response, as hex.

    Returns None if the response has no SHA-256, or only a checksum of the parts' checksums ("…-7").
    """
    value = response.get("ChecksumSHA256", "-")
    return None if "-" in value else base64.b64decode(value).hex()


def _copy_parts(
    s3: S3Client,
    source: Mapping[str, Any],
    *,
    target: S3Object,
    size: int,
    metadata: Mapping[str, str] | None,
    only_if_new: bool,
) -> Copied:
    step = max(PART_BYTES, -(-size // MAXIMUM_PARTS))
    with MultipartUpload.begin(
        s3,
        target,
        algorithm="CRC64NVME",
        checksum_type="FULL_OBJECT",
        workers=_WORKERS,
        metadata=metadata,
    ) as upload:
        for number, first in enumerate(range(0, size, step), start=1):
            upload.copy(number, first=first, last=min(first + step, size) - 1, source=source)
        result = upload.complete(size=size, only_if_new=only_if_new)
    return Copied(size, None, result.get("ChecksumCRC64NVME"))


def _copy_source(source: S3Object) -> dict[str, str]:
    place = {"Bucket": source.bucket, "Key": source.key}
    return place | ({"VersionId": source.version_id} if source.version_id else {})


def _supported(s3: S3Client, **parameters: str) -> dict[str, str]:
    # The Lambda runtime's boto3 is older than PyPI's, and rejects unknown parameters. Both parameters only save work.
    # Without them, S3 also copies annotations, and copies again over the same bytes.
    shape = s3.meta.service_model.operation_model("CopyObject").input_shape
    return {name: value for name, value in parameters.items() if shape and name in shape.members}
