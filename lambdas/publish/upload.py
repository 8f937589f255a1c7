"""An upload in the outbox becomes a message: S3 copies it, the topic tells of it, then the upload is deleted.

In that order, so that a function that dies anywhere between leaves the upload in place, and the next try repeats what
was done without harm. No byte of the payload passes through the function.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from claim_check import InvalidMessage, PayloadTooLarge, Published, Publisher, S3Object, find_copy, metadata_of
from publish.group import group_id
from publish.metadata import attributes_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PUBLISHERS_OWN = "publisher"


def publish_upload(
    event: dict[str, Any],
    *,
    publisher: Publisher,
    outbox: str,
    maximum: int,
    senders: Mapping[str, str],
    s3: "S3Client",
) -> Published | None:
    """Publish the object version that an S3 "Object Created" event tells of; None when it was published before.

    The object's metadata become attributes. Beside them go `outbox-key`, the object's key below the outbox prefix;
    `account`, which S3 says made the upload; and `sender`, whose folder of the outbox it is in: `senders` are the
    senders' accounts by their names. A name is given only to an upload from that sender's account (where the bucket's
    policy lets in the sender's role alone); all others are the publisher's own. In a FIFO topic the first folder is the
    message group; uploads in no folder are a group of their own.

    Raises:
        PayloadTooLarge: it has more than `maximum` bytes. Nothing was stored, and the upload stays.
        InvalidMessage: the metadata cannot be attributes. Likewise.
        ClaimCheckError: as `Publisher.publish_object`; PayloadMissing, when the upload is gone and was never copied.
    """
    bucket, uploaded = event["detail"]["bucket"]["name"], event["detail"]["object"]
    key, size = uploaded["key"], uploaded["size"]
    source = S3Object(bucket, key, publisher.store.owner, publisher.store.region, uploaded["version-id"])
    message_id = upload_id(key, uploaded["version-id"])
    if size > maximum:
        raise PayloadTooLarge(
            f"the upload stays in the outbox: it has {size} bytes, and publisher.outbox.maximum_bytes is {maximum}; "
            "raise that in the deployment file, or split it into several uploads",
            pointer=source.pointer,
        )
    metadata = metadata_of(s3, source)
    if metadata is None:
        # It is deleted last: an upload that is gone and was copied is published.
        find_copy(s3, source=source, size=size, store=publisher.store, message_id=message_id)
        return None
    name, account = key.removeprefix(outbox), event["detail"]["requester"]
    folder = name.rpartition("/")[0].partition("/")[0]
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
                "sender": folder if senders.get(folder) == account else PUBLISHERS_OWN,
            },
            group_id=group_id(folder) if publisher.fifo else None,
        )
    except InvalidMessage as error:
        raise InvalidMessage(f"the upload stays in the outbox: {error}", pointer=source.pointer) from error
    s3.delete_object(Bucket=bucket, Key=key, VersionId=source.version_id or "", ExpectedBucketOwner=source.owner)
    return published


def upload_id(key: str, version: str) -> str:
    """The message id of an upload: a digest of key and version, since neither is sure to fit into an id."""
    return hashlib.sha256(f"{key}\n{version}".encode()).hexdigest()[:32]
