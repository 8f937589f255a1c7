"""Server-side copies: S3 copies the bytes, across accounts and Regions, and computes their checksum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from claim_check.s3.client import GIB, MIB
from claim_check.s3.multipart import MAXIMUM_PARTS, MultipartUpload, Progress
from claim_check.s3.reported import hex_sha256
from claim_check.s3.response import required
from claim_check.s3.workers import Workers

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.s3.object_options import ObjectOptions
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
    options: ObjectOptions | None = None,
    progress: Progress = lambda _: None,
) -> Copied:
    """Copy one object of `size` bytes. `s3` is a client of the target's Region. Raises boto's errors.

    With `etag`, S3 copies only if the source still has it. With `only_if_new`, S3 copies only if the target does not
    exist (otherwise status 412). `metadata` replaces the source's, and its content type. Tags and annotations are not
    copied: they require further permissions. `options` are properties of the copy. `progress` is called in the caller's
    thread with the bytes copied so far, at least once a second.
    """
    properties = options.parameters() if options else {}
    request: dict[str, Any] = {
        "CopySource": _copy_source(source),
        "ExpectedSourceBucketOwner": source.owner,
        **({"CopySourceIfMatch": etag} if etag else {}),
    }
    if not has_sha256(size):
        properties |= {"Metadata": dict(metadata or {})}
        return _copy_parts(
            s3, request, target=target, size=size, properties=properties, only_if_new=only_if_new, progress=progress
        )
    request |= {
        "Bucket": target.bucket,
        "Key": target.key,
        "ExpectedBucketOwner": target.owner,
        "ChecksumAlgorithm": "SHA256",
        "TaggingDirective": "REPLACE",
        **({"MetadataDirective": "REPLACE", "Metadata": dict(metadata)} if metadata is not None else {}),
        **properties,
        **_supported(s3, AnnotationDirective="EXCLUDE", **({"IfNoneMatch": "*"} if only_if_new else {})),
    }
    with Workers(1) as workers, workers:
        response = workers.result(workers.submit(s3.copy_object, **request), lambda: progress(0))
    result: Any = response.get("CopyObjectResult", {})
    required(result, "ETag")
    progress(size)
    return Copied(size, hex_sha256(result))


def has_sha256(size: int) -> bool:
    """Return whether S3 reports the SHA-256 of a copy of `size` bytes. S3 does so only for a copy in one request."""
    return size <= LARGEST_SINGLE_COPY_BYTES


def _copy_parts(
    s3: S3Client,
    source: Mapping[str, Any],
    *,
    target: S3Object,
    size: int,
    properties: Mapping[str, Any],
    only_if_new: bool,
    progress: Progress,
) -> Copied:
    step = max(PART_BYTES, -(-size // MAXIMUM_PARTS))
    with (
        MultipartUpload(
            s3, target, algorithm="CRC64NVME", limit=_WORKERS, parameters=properties, progress=progress
        ) as upload,
        upload,
    ):
        upload.create()
        for number, first in enumerate(range(0, size, step), start=1):
            upload.copy(number, first=first, last=min(first + step, size) - 1, source=source)
        result = upload.complete(only_if_new=only_if_new)
    return Copied(size, None, result.get("ChecksumCRC64NVME"))


def _copy_source(source: S3Object) -> dict[str, str]:
    place = {"Bucket": source.bucket, "Key": source.key}
    return place | ({"VersionId": source.version_id} if source.version_id else {})


def _supported(s3: S3Client, **parameters: str) -> dict[str, str]:
    # The Lambda runtime's boto3 is older than PyPI's, and rejects unknown parameters. Both parameters only save work.
    # Without them, S3 also copies annotations, and copies again over the same bytes.
    shape = s3.meta.service_model.operation_model("CopyObject").input_shape
    return {name: value for name, value in parameters.items() if shape and name in shape.members}
