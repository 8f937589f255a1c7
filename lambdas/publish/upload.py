"""Publishing of an upload in the outbox: S3 copies it, the copy is published, then the upload is deleted.

If the function ends between two of these steps, the upload still exists, and the next attempt repeats the steps
without harm. No byte of the payload passes through the function.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from claim_check import (
    InvalidMessage,
    ObjectOptions,
    PayloadTooLarge,
    Published,
    Publisher,
    S3Object,
    UploadedObject,
    find_copy,
    group_id_of,
    uploaded_object,
)
from publish.metadata import attributes_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PUBLISHER_SENDER = "publisher"
"""Attribute `sender` of uploads from the publisher's account. The deployment file reserves this name."""
UPLOAD_SOURCE = "outbox"
"""Attribute `source` of uploads. No event may have it."""
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
# Control characters, invisible ones that change the order or the look of others, and separators of lines.
_UNSAFE_CATEGORIES = ("Cc", "Cf", "Zl", "Zp")


def is_upload(event: Mapping[str, Any]) -> bool:
    """Return whether the event is S3's. EventBridge rejects senders' events with a source that begins with "aws."."""
    return bool(event["source"] == "aws.s3")


def publish_upload(
    event: dict[str, Any],
    *,
    message_id: str,
    publisher: Publisher,
    outbox_prefix: str,
    maximum_bytes: int,
    senders: Mapping[str, str],
    s3: "S3Client",
    chosen: Sequence[str] = (),
) -> Published | None:
    """Publish the object version of an S3 "Object Created" event. Return None if it was published before.

    The object's metadata become attributes, as `publish.metadata.attributes_of` describes. Four attributes are added.
    `source` is "outbox". `outbox-key` is the key without the outbox prefix. `account` is the uploading account, as S3
    reports it. `sender` is a sender's name if the upload is in that sender's folder and from that sender's account. All
    other uploads have the name "publisher". `senders` has the senders' accounts by name. In a sender's folder, the
    bucket policy allows only the sender's role. The copy keeps content type and content encoding.

    In a FIFO topic the account and the first folder are the message group.

    Raises:
        PayloadTooLarge: The upload is larger than `maximum_bytes`. It stays in the outbox; nothing was stored.
        InvalidMessage: The key, the metadata or the object's storage cannot be accepted. The upload stays in the
            outbox.
        PayloadMissing: The upload was deleted, and there is no copy.
        ClaimCheckError: The errors of `Publisher.publish_object`.
    """
    bucket, uploaded = event["detail"]["bucket"]["name"], event["detail"]["object"]
    key, size = uploaded["key"], uploaded["size"]
    source = S3Object(bucket, key, publisher.store.owner, publisher.store.region, uploaded["version-id"])
    if size > maximum_bytes:
        raise PayloadTooLarge(
            f"the upload stays in the outbox: it has {size} bytes, and publisher.outbox.maximum_bytes is "
            f"{maximum_bytes}; raise that in the deployment file, or split it into several uploads",
            pointer=source.pointer,
        )
    found = uploaded_object(s3, source)
    if found is None:
        # Deletion is the last step. Therefore a deleted upload with a copy was published.
        find_copy(s3, source=source, size=size, store=publisher.store, message_id=message_id)
        return None
    name, account = key.removeprefix(outbox_prefix), event["detail"]["requester"]
    folder = folder_of(name)
    try:
        require_safe_name(name)
        _require_readable(found, owner=source.owner)
        published = publisher.publish_object(
            source,
            size=size,
            message_id=message_id,
            attributes={
                **attributes_of(found, chosen=chosen),
                "source": UPLOAD_SOURCE,
                "outbox-key": name,
                "account": account,
                "sender": folder if senders.get(folder) == account else PUBLISHER_SENDER,
            },
            group_id=group_id_of(f"{account}/{UPLOAD_SOURCE}/{folder}") if publisher.fifo else None,
            object_options=_options_of(found),
        )
    except InvalidMessage as error:
        raise InvalidMessage(f"the upload stays in the outbox: {error.problem}", pointer=source.pointer) from error
    s3.delete_object(Bucket=bucket, Key=key, VersionId=source.version_id or "", ExpectedBucketOwner=source.owner)
    return published


def folder_of(name: str) -> str:
    """Return the first folder of a key in the outbox, or "" for a key without a folder."""
    return name.rpartition("/")[0].partition("/")[0]


def require_safe_name(name: str) -> None:
    """Raise InvalidMessage for a key that means something else as a path, or that looks like another key."""
    if not {"", ".", ".."}.isdisjoint(name.split("/")) or "\\" in name:
        problem = 'has an empty step, "." or "..", or a backslash'
    elif any(unicodedata.category(character) in _UNSAFE_CATEGORIES for character in name):
        problem = "has a control character, a line break or an invisible character"
    else:
        return
    raise InvalidMessage(f"outbox-key {name!r} {problem}: upload the object under another key")


def _require_readable(found: UploadedObject, *, owner: str) -> None:
    """Raise InvalidMessage for an object that S3 does not copy for the publisher."""
    key_account = found.kms_key.split(":")[4] if found.kms_key.startswith("arn:") else owner
    if key_account != owner:
        raise InvalidMessage(
            f"it is encrypted with a key of account {key_account}: upload it again without an option of encryption"
        )
    if found.storage_class in _ARCHIVED:
        raise InvalidMessage(
            f"its storage class is {found.storage_class}, from which S3 copies nothing: upload it again without a "
            "storage class"
        )


def _options_of(found: UploadedObject) -> ObjectOptions | None:
    try:
        return ObjectOptions(content_type=found.content_type or None, content_encoding=found.content_encoding or None)
    except ValueError:
        return None  # The header is not a media type. The attribute has it.
