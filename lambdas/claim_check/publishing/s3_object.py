"""Payloads that are in S3 already: S3 copies an uploaded object into the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import ClientError

from claim_check.errors import InvalidMessage, PayloadConflict, PayloadMissing
from claim_check.s3.client import MISSING, S3Clients, S3Source, code, s3_errors
from claim_check.s3.copy import Copied, copy_object
from claim_check.s3.reported import hex_sha256
from claim_check.s3.response import complete

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.s3.multipart import Progress
    from claim_check.s3.object_options import ObjectOptions
    from claim_check.store import S3Object, Store

# User metadata of the copy, by which a repeated call distinguishes its earlier copy from another payload.
_SOURCE_METADATA = "claim-check-source"


def copy_into_store(
    s3: S3Client,
    *,
    source: S3Object,
    size: int,
    store: Store,
    message_id: str,
    options: ObjectOptions | None = None,
    progress: Progress = lambda _: None,
) -> Copied:
    """Copy an uploaded object of `size` bytes to `store.object_of(message_id)` in S3.

    Repeating the call is harmless, even after the source was deleted: it returns the earlier copy. `options` are
    properties of the copy. `progress` is called with the bytes copied so far.

    Raises:
        PayloadMissing: There is neither source nor copy.
        PayloadConflict: The key holds another payload.
        PayloadUnavailable: S3 failed.
    """
    target = store.object_of(message_id)
    with s3_errors("copy the object into the store", pointer=source.pointer, message_id=message_id):
        try:
            return copy_object(
                s3,
                source=source,
                target=target,
                size=size,
                metadata={_SOURCE_METADATA: _fingerprint(source)},
                only_if_new=True,
                options=options,
                progress=progress,
            )
        except ClientError as error:
            if code(error) not in MISSING | {"PreconditionFailed"}:
                raise
    return find_copy(s3, source=source, size=size, store=store, message_id=message_id)


def find_copy(s3: S3Source, *, source: S3Object, size: int, store: Store, message_id: str) -> Copied:
    """Return the copy that an earlier `copy_into_store` made of this object.

    Raises:
        PayloadMissing: There is no copy.
        PayloadConflict: The key holds another payload.
        PayloadUnavailable: S3 failed.
    """
    target, client = store.object_of(message_id), S3Clients(s3).client(store.region)
    try:
        with s3_errors("look for an earlier copy", pointer=target.pointer, message_id=message_id):
            existing = complete(
                client.head_object(
                    Bucket=target.bucket, Key=target.key, ExpectedBucketOwner=target.owner, ChecksumMode="ENABLED"
                )
            )
            sha256 = hex_sha256(existing)
    except PayloadMissing:
        raise PayloadMissing(
            "neither the uploaded object nor a copy in the store exists: it was deleted, or has expired, before it was "
            "published, so upload it again",
            message_id=message_id,
            pointer=source.pointer,
        ) from None
    if existing["Metadata"].get(_SOURCE_METADATA) != _fingerprint(source) or existing["ContentLength"] != size:
        raise PayloadConflict(
            "another payload is stored under this message id: choose an unused id for every payload",
            message_id=message_id,
            pointer=target.pointer,
        )
    return Copied(size, sha256, existing.get("ChecksumCRC64NVME"))


class UploadedObject(NamedTuple):
    """An object that is to be published. A property that S3 does not report is "".

    S3 returns the names of user metadata in lower case and values in ASCII; other values are encoded as in RFC 2047.
    `kms_key` is the ARN of the key that encrypts the object.
    """

    metadata: Mapping[str, str]
    content_type: str = ""
    content_encoding: str = ""
    storage_class: str = ""
    kms_key: str = ""


def uploaded_object(s3: S3Source, source: S3Object) -> UploadedObject | None:
    """Return the properties of an uploaded object, or None if it does not exist.

    Raises:
        InvalidMessage: An HTTP header cannot hold some of the metadata.
        PayloadUnavailable: S3 failed.
    """
    try:
        with s3_errors("look at the uploaded object", pointer=source.pointer, message_id=None):
            version: Any = {"VersionId": source.version_id} if source.version_id else {}
            client = S3Clients(s3).client(source.region)
            head: Any = complete(
                client.head_object(Bucket=source.bucket, Key=source.key, ExpectedBucketOwner=source.owner, **version)
            )
    except PayloadMissing:
        return None
    if head.get("MissingMeta"):
        raise InvalidMessage(
            f"{head['MissingMeta']} entries of the object's metadata do not fit into HTTP headers: upload it again "
            "without them",
            pointer=source.pointer,
        )
    headers = ("ContentType", "ContentEncoding", "StorageClass", "SSEKMSKeyId")
    return UploadedObject(head["Metadata"], *(head.get(name, "") for name in headers))


def _fingerprint(source: S3Object) -> str:
    return hashlib.sha256(f"{source.bucket}/{source.key}?versionId={source.version_id}".encode()).hexdigest()
