"""A message that only has to be sent: its payload is in its body, or in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from claim_check.publishing.draft import Draft
from claim_check.wire.attribute import Attribute, total_size
from claim_check.wire.pointer import Pointer

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import PublishBatchRequestEntryTypeDef


class Published(NamedTuple):
    """What was published: our id, SNS's id, the payload's bytes and SHA-256 (hex; None when S3 alone saw all of it),
    and the pointer (None for an inline payload)."""

    message_id: str
    sns_message_id: str
    size: int
    sha256: str | None
    pointer: Pointer | None


class Ready(NamedTuple):
    """`size` and `sha256` are the payload's. `deletable` says that the call which made this wrote the object behind
    `pointer` under an id of its own making, so that no other message can point to it."""

    draft: Draft
    body: str
    attributes: Mapping[str, Attribute]
    size: int
    sha256: str | None
    pointer: Pointer | None = None
    deletable: bool = False

    @property
    def weight(self) -> int:
        """Bytes of the whole message, as SNS counts them."""
        body = len(self.body.encode()) if self.pointer else self.size
        return body + total_size(self.attributes)

    def request(self) -> dict[str, Any]:
        """The parameters of SNS's Publish, but for the topic."""
        return {
            "Message": self.body,
            "MessageAttributes": {name: attribute.wire() for name, attribute in self.attributes.items()},
            **self.draft.options(),
        }

    def entry(self, name: str) -> PublishBatchRequestEntryTypeDef:
        """As one entry of SNS's PublishBatch, called `name` in it."""
        return {"Id": name, **self.request()}  # type: ignore[typeddict-item]

    def published(self, sns_message_id: str) -> Published:
        """What the caller is told once SNS has taken it."""
        return Published(self.draft.id, sns_message_id, self.size, self.sha256, self.pointer)
