"""A payload that came in the message itself."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from claim_check.s3.client import s3_errors
from claim_check.s3.copy import Copied, Place
from claim_check.wire.pointer import Pointer

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


class InlineBytes:
    """The bytes of a message's body."""

    what = "the payload"

    def __init__(self, data: bytes, *, message_id: str) -> None:
        self._data = data
        self._message_id = message_id

    def chunks(self, size: int) -> Generator[bytes]:
        for start in range(0, len(self._data), size):
            yield self._data[start : start + size]

    def copy_to(self, s3: S3Client, target: Place) -> Copied:
        """Writes the bytes to the target: there is nothing in S3 to copy yet."""
        pointer = Pointer(target.bucket, target.key)
        with s3_errors(f"write the payload to {pointer}", pointer=pointer, message_id=self._message_id):
            s3.put_object(Bucket=target.bucket, Key=target.key, ExpectedBucketOwner=target.owner, Body=self._data)
        return Copied(len(self._data), hashlib.sha256(self._data).hexdigest())
