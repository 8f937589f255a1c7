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
    bytes and `sha256` (hex) are as declared, not yet compared. `sha256` is None if another library published the
    message, or if only S3 has read the whole payload.
    """

    id: str
    payload: Payload
    attributes: Mapping[str, Attribute]
    subject: str | None
    topic_arn: str | None
    stored: S3Object | None
    size: int
    sha256: str | None

    @property
    def pointer(self) -> Pointer | None:
        """The message's pointer, or None for an inline payload."""
        return self.stored.pointer if self.stored else None
