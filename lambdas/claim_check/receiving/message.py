"""A received message, whatever it was spelt like and wherever its payload is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from claim_check.receiving.payload import Payload
from claim_check.store import S3Object
from claim_check.wire.attribute import Attribute
from claim_check.wire.pointer import Pointer


class Message(NamedTuple):
    """One message.

    `id` is its sender's when this library published it, the same at every retry; else SNS's, or SQS's under raw
    delivery. `attributes` are the sender's own, without the markers and ours. `subject` and `topic_arn` are None
    under raw delivery. `stored` is the object in a trusted store, None for an inline payload. `size`
    in bytes and `sha256` (hex) are as declared, not yet checked; `sha256` is None when another library published it,
    or S3 alone saw all of it.
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
        """The pointer that the message carried, or None for an inline payload."""
        return self.stored.pointer if self.stored else None
