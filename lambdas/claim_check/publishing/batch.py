"""PublishBatch: the entries of one call, and the result of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from claim_check.publishing.outgoing_message import OutgoingMessage, Published
from claim_check.publishing.source import PayloadSource
from claim_check.s3.object_options import ObjectOptions
from claim_check.wire.attribute import AttributeValue

MAXIMUM_ENTRIES = 10


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One message of a batch. The fields are the arguments of `Publisher.publish`."""

    payload: PayloadSource
    message_id: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    subject: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    object_options: ObjectOptions | None = None


class EntryOutcome(NamedTuple):
    """The result of one entry: the published message, or the entry's error.

    `message_id` is the entry's, or the generated one. Publish the entry again under it: the stored payload is reused.
    It is None if an entry without an id failed before one was generated.
    """

    entry: Entry
    message_id: str | None
    published: Published | None
    error: Exception | None


class Batch:
    """The messages of one call, by the index of their entry: up to ten, and up to `maximum_bytes` in total."""

    def __init__(self, maximum_bytes: int) -> None:
        self._bytes_left = maximum_bytes
        self.messages: dict[int, OutgoingMessage] = {}

    def fits(self, message: OutgoingMessage) -> bool:
        """Return whether the batch has space for the message. An empty batch accepts any message."""
        return not self.messages or (len(self.messages) < MAXIMUM_ENTRIES and message.total_bytes <= self._bytes_left)

    def add(self, index: int, message: OutgoingMessage) -> None:
        """Add the message of the entry at `index`."""
        self.messages[index] = message
        self._bytes_left -= message.total_bytes

    def request(self) -> list[dict[str, Any]]:
        """Return the entries of the request, with SNS's names of parameters."""
        return [{"Id": str(index), **message.request()} for index, message in self.messages.items()]

    def results(self, response: Mapping[str, Any]) -> dict[int, str | ClientError]:
        """Return the service's id or error for each message."""
        accepted = {entry.get("Id"): entry.get("MessageId") for entry in response.get("Successful", [])}
        rejected = {entry.get("Id"): _error(entry, response) for entry in response.get("Failed", [])}
        return {
            index: accepted.get(str(index)) or rejected.get(str(index)) or _error({}, response)
            for index in self.messages
        }


def _error(entry: Mapping[str, Any], response: Mapping[str, Any]) -> ClientError:
    """Return the error that boto would have raised for this entry in a separate call."""
    status = 400 if entry.get("SenderFault") else 500
    metadata = {**response.get("ResponseMetadata", {}), "HTTPStatusCode": status}
    reason = {"Code": entry.get("Code", "NoResult"), "Message": entry.get("Message", "no result")}
    error: Any = {"Error": reason, "ResponseMetadata": metadata}
    return ClientError(error, "PublishBatch")
