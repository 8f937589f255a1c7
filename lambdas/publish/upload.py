"""Publishing of an upload in the outbox: S3 copies it, the copy is published, then the upload is deleted.

If the function ends between two of these steps, the upload still exists, and the next attempt repeats the steps
without harm. No byte of the payload passes through the function.
"""

import hashlib
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any

from claim_check import (
    RESERVED_ATTRIBUTES,
    InvalidMessage,
    PayloadTooLarge,
    Published,
    Publisher,
    S3Object,
    find_copy,
    group_id_of,
    metadata_of,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PUBLISHER_SENDER = "publisher"
"""Attribute `sender` of uploads from the publisher's account. The deployment file reserves this name."""
ORIGIN_ATTRIBUTES = ("source", "detail-type", "account", "sender", "outbox-key")
"""Attributes about a message's origin. A sender cannot set them."""
MAXIMUM_METADATA = 4
"""SNS allows ten attributes if a subscriber has a queue. An upload has four of its origin, and two of its pointer."""
# S3 lower-cases metadata keys, so reserved names are rejected in any case.
_RESERVED_NAMES = frozenset(name.lower() for name in (*ORIGIN_ATTRIBUTES, *RESERVED_ATTRIBUTES))


def publish_upload(
    event: dict[str, Any],
    *,
    publisher: Publisher,
    outbox_prefix: str,
    maximum_bytes: int,
    senders: Mapping[str, str],
    s3: "S3Client",
) -> Published | None:
    """Publish the object version of an S3 "Object Created" event. Return None if it was published before.

    The object's metadata become attributes. Four attributes are added. `source` is "outbox". `outbox-key` is the key
    without the outbox prefix. `account` is the uploading account, as S3 reports it. `sender` is a sender's name if the
    upload is in that sender's folder and from that sender's account. All other uploads have the name "publisher".
    `senders` has the senders' accounts by name. Of a sender's account, the bucket policy allows only the sender's role.

    In a FIFO topic the first folder is the message group. Uploads without a folder share one group.

    Raises:
        PayloadTooLarge: The upload is larger than `maximum_bytes`. It stays in the outbox; nothing was stored.
        InvalidMessage: The metadata are not valid attributes. The upload stays in the outbox.
        PayloadMissing: The upload was deleted, and there is no copy.
        ClaimCheckError: The errors of `Publisher.publish_object`.
    """
    bucket, uploaded = event["detail"]["bucket"]["name"], event["detail"]["object"]
    key, size = uploaded["key"], uploaded["size"]
    source = S3Object(bucket, key, publisher.store.owner, publisher.store.region, uploaded["version-id"])
    message_id = upload_id(key, uploaded["version-id"])
    if size > maximum_bytes:
        raise PayloadTooLarge(
            f"the upload stays in the outbox: it has {size} bytes, and publisher.outbox.maximum_bytes is "
            f"{maximum_bytes}; raise that in the deployment file, or split it into several uploads",
            pointer=source.pointer,
        )
    metadata = metadata_of(s3, source)
    if metadata is None:
        # Deletion is the last step. Therefore a deleted upload with a copy was published.
        find_copy(s3, source=source, size=size, store=publisher.store, message_id=message_id)
        return None
    name, account = key.removeprefix(outbox_prefix), event["detail"]["requester"]
    folder = folder_of(name)
    try:
        published = publisher.publish_object(
            source,
            size=size,
            message_id=message_id,
            attributes={
                **attributes_of(metadata),
                "source": "outbox",
                "outbox-key": name,
                "account": account,
                "sender": folder if senders.get(folder) == account else PUBLISHER_SENDER,
            },
            group_id=group_id_of(folder) if publisher.fifo else None,
        )
    except InvalidMessage as error:
        raise InvalidMessage(f"the upload stays in the outbox: {error.problem}", pointer=source.pointer) from error
    s3.delete_object(Bucket=bucket, Key=key, VersionId=source.version_id or "", ExpectedBucketOwner=source.owner)
    return published


def folder_of(name: str) -> str:
    """Return the first folder of a key in the outbox, or "" for a key without a folder."""
    return name.rpartition("/")[0].partition("/")[0]


def upload_id(key: str, version: str) -> str:
    """Return the message id of an upload: a digest, because key and version can be too long for an id."""
    return hashlib.sha256(f"{key}\n{version}".encode()).hexdigest()[:32]


def attributes_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return an object's metadata as attributes. S3 encodes text outside ASCII as in RFC 2047; it is decoded here.

    Raises:
        InvalidMessage: There are more than four entries, a name is reserved, or a value cannot be decoded.
    """
    if len(metadata) > MAXIMUM_METADATA:
        raise InvalidMessage(
            f"metadata: there are {len(metadata)} ({', '.join(sorted(metadata))}); use at most {MAXIMUM_METADATA}, "
            "because coatcheck adds attributes to the message"
        )
    for name in metadata:
        if name.lower() in _RESERVED_NAMES:
            raise InvalidMessage(f"metadata {name!r}: the name is reserved; choose another")
    return {name: _decode(name, value) for name, value in metadata.items()}


def _decode(name: str, value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        raise InvalidMessage(f"metadata {name!r}: the value is not a valid RFC 2047 encoded word") from None
