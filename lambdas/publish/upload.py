"""An upload in the outbox becomes a message: S3 copies it, the topic tells of it, then the upload is deleted.

In that order, so that a function that dies anywhere between leaves the upload in place, and the next try repeats what
was done without harm. No byte of the payload passes through the function.
"""

import hashlib
from typing import TYPE_CHECKING, Any

from claim_check import Published, Publisher
from publish.group import group_id

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def publish_upload(event: dict[str, Any], *, publisher: Publisher, outbox: str, s3: "S3Client") -> Published:
    """Publish the object version that an S3 "Object Created" event tells of.

    The attribute `outbox-key` is the object's key below the outbox prefix. In a FIFO topic the first folder of that key
    is the message group; uploads in no folder are a group of their own.

    Raises:
        ClaimCheckError: as `Publisher.publish_object`.
    """
    bucket, uploaded = event["detail"]["bucket"]["name"], event["detail"]["object"]
    key, version = uploaded["key"], uploaded["version-id"]
    name = key.removeprefix(outbox)
    published = publisher.publish_object(
        bucket=bucket,
        key=key,
        version_id=version,
        size=uploaded["size"],
        message_id=upload_id(key, version),
        attributes={"source": "outbox", "outbox-key": name, "account": event["account"]},
        group_id=group_id(name.rpartition("/")[0].partition("/")[0]) if publisher.fifo else None,
    )
    s3.delete_object(Bucket=bucket, Key=key, VersionId=version, ExpectedBucketOwner=publisher.store.owner)
    return published


def upload_id(key: str, version: str) -> str:
    """The message id of an upload: a digest of key and version, since neither is sure to fit into an id."""
    return hashlib.sha256(f"{key}\n{version}".encode()).hexdigest()[:32]
