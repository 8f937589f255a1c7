"""A payload that came in the message itself."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from claim_check.s3.client import s3_errors
from claim_check.s3.copy import Copied

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object


class InlineBytes:
    """The bytes of a message's body."""

    label = "the payload"

    def __init__(self, data: bytes, *, message_id: str) -> None:
        self._data = data
        self._message_id = message_id

    def chunks(self, size: int) -> Generator[bytes]:
        for start in range(0, len(self._data), size):
            yield self._data[start : start + size]

    def copy_to(self, s3: S3Client, target: S3Object) -> Copied:
        """Writes the bytes to the target: there is nothing in S3 to copy yet."""
        with s3_errors(f"write the payload to {target.pointer}", pointer=target.pointer, message_id=self._message_id):
            s3.put_object(Bucket=target.bucket, Key=target.key, ExpectedBucketOwner=target.owner, Body=self._data)
        return Copied(len(self._data), hashlib.sha256(self._data).hexdigest())
