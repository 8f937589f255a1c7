"""An upload to the outbox, whose message id is known as soon as S3 has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from boto3.s3.transfer import TransferConfig

from claim_check import upload_id
from stacks.deployment import PublisherNames

_PART_BYTES, _PARTS = 16 * 2**20, 9_000
"""S3 allows 10,000 parts."""


def upload(
    s3: Any,
    source: BinaryIO,
    *,
    publisher: PublisherNames,
    key: str,
    size: int,
    metadata: Mapping[str, str],
    progressed: Callable[[int], object],
) -> str:
    """Upload a file in constant memory, and return the id of its message.

    size: that of the file, or 0 if it is not known.
    progressed: called with the bytes of each part that was sent.

    Raises:
        botocore.exceptions.ClientError: S3 refused the upload.
        Exception: the errors of `source`. Nothing is left in S3.
    """
    versions: list[str] = []

    def keep_version(parsed: Mapping[str, Any], **_: object) -> None:
        versions.extend(each for each in [parsed.get("VersionId")] if each)

    names = [f"after-call.s3.{operation}" for operation in ("PutObject", "CompleteMultipartUpload")]
    for name in names:
        s3.meta.events.register(name, keep_version)
    try:
        s3.upload_fileobj(
            source,
            publisher.payload_bucket.bucket.name,
            key,
            ExtraArgs={"ExpectedBucketOwner": publisher.place.account, "Metadata": dict(metadata)},
            Config=TransferConfig(multipart_chunksize=max(_PART_BYTES, size // _PARTS)),
            Callback=progressed,
        )
    finally:
        for name in names:
            s3.meta.events.unregister(name, keep_version)
    return upload_id(key, versions[-1])
