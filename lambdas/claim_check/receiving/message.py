"""A received message: its fields and its payload, inline or in S3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from claim_check.receiving.payload import Payload
from claim_check.store import S3Object
from claim_check.wire.attribute import Attribute
from claim_check.wire.pointer import Pointer


class Message(NamedTuple):
    """One message.

    `id` is the sender's if this library published the message, and the same in every retry. Otherwise it is SNS's, or
    SQS's under raw delivery. `attributes` are the sender's, without the marker and the claim. `subject` and `topic_arn`
    are None under raw delivery. `stored` is the object in a trusted store, or None for an inline payload. `size` in
    bytes, `sha256` (hex), `crc64nvme` and `crc32` (base64) are as declared, not yet compared: `payload.verify` compares
    them. A checksum that the message does not declare is None. Other libraries declare none.

    `encoding` is "gzip" for a compressed payload, which is expanded when it is read. Then `size` is the expanded size,
    and `stored_size` and the checksums are of the stored bytes.
    """

    id: str
    payload: Payload
    attributes: Mapping[str, Attribute]
    subject: str | None
    topic_arn: str | None
    stored: S3Object | None
    size: int
    sha256: str | None
    crc64nvme: str | None = None
    crc32: str | None = None
    encoding: str | None = None
    stored_size: int = 0

    def __reduce__(self) -> tuple[type[Message], tuple[object, ...]]:
        # Attributes are a read-only view, which cannot be pickled.
        return (Message, tuple(self._replace(attributes=dict(self.attributes))))

    @property
    def pointer(self) -> Pointer | None:
        """The message's pointer, or None for an inline payload."""
        return self.stored.pointer if self.stored else None
