"""The way in for payloads that are in S3 already: S3 copies an uploaded object into the store."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from claim_check.errors import InvalidMessage, PayloadConflict, PayloadMissing
from claim_check.s3.client import MISSING, code, s3_errors
from claim_check.s3.copy import Copied, copy_object, hex_sha256

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object, Store

# A user-metadata entry of the copy, so that a repeated call knows its own earlier copy from somebody else's payload.
_source_name = "claim-check-source"


def copy_into_store(s3: S3Client, *, source: S3Object, size: int, store: Store, message_id: str) -> Copied:
    """Has S3 copy an uploaded object of `size` bytes to `store.object_of(message_id)`.

    Repeating it is harmless, even after the source was deleted: the earlier copy is found and described again. Raises
    PayloadMissing (neither source nor copy), PayloadConflict (the key holds another payload) and PayloadUnavailable.
    """
    target = store.object_of(message_id)
    with s3_errors("copy the object into the store", pointer=source.pointer, message_id=message_id):
        try:
            return copy_object(
                s3, source=source, target=target, size=size, metadata={_source_name: _origin(source)}, only_if_new=True
            )
        except ClientError as error:
            if code(error) not in MISSING | {"PreconditionFailed"}:
                raise
    return find_copy(s3, source=source, size=size, store=store, message_id=message_id)


def find_copy(s3: S3Client, *, source: S3Object, size: int, store: Store, message_id: str) -> Copied:
    """The copy that an earlier `copy_into_store` made of this very object. Raises PayloadMissing when there is none,
    PayloadConflict (the key holds another payload) and PayloadUnavailable."""
    target = store.object_of(message_id)
    try:
        with s3_errors("look for an earlier copy", pointer=target.pointer, message_id=message_id):
            found = s3.head_object(
                Bucket=target.bucket, Key=target.key, ExpectedBucketOwner=target.owner, ChecksumMode="ENABLED"
            )
    except PayloadMissing:
        raise PayloadMissing(
            "there is neither the uploaded object nor an earlier copy of it in the store: it was deleted, or "
            "has expired, before it was published, so upload it again",
            message_id=message_id,
            pointer=source.pointer,
        ) from None
    if found["Metadata"].get(_source_name) != _origin(source) or found["ContentLength"] != size:
        raise PayloadConflict(
            "another payload is stored under this message id: give every payload an id of its own",
            message_id=message_id,
            pointer=target.pointer,
        )
    return Copied(size, hex_sha256(found), found.get("ChecksumCRC64NVME"))


def metadata_of(s3: S3Client, source: S3Object) -> dict[str, str] | None:
    """The user metadata of an uploaded object, as S3 gives them: names in lower case, values in ASCII, those that are
    not as RFC 2047 spells them. None when there is no such object (any longer).

    Raises InvalidMessage when some of it cannot be given over HTTP, and PayloadUnavailable.
    """
    try:
        with s3_errors("look at the uploaded object", pointer=source.pointer, message_id=None):
            version: Any = {"VersionId": source.version_id} if source.version_id else {}
            found = s3.head_object(Bucket=source.bucket, Key=source.key, ExpectedBucketOwner=source.owner, **version)
    except PayloadMissing:
        return None
    if found.get("MissingMeta"):
        raise InvalidMessage(
            f"{found['MissingMeta']} of the object's metadata cannot be told in HTTP headers; upload it again without",
            pointer=source.pointer,
        )
    return found["Metadata"]


def _origin(source: S3Object) -> str:
    return hashlib.sha256(f"{source.bucket}/{source.key}?versionId={source.version_id}".encode()).hexdigest()
