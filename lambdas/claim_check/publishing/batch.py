"""Many messages in few calls: what goes into one PublishBatch, and what became of each entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from claim_check.publishing.ready import Published, Ready
from claim_check.publishing.source import Source
from claim_check.wire.attribute import Attribute

MOST_ENTRIES = 10


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One message of a batch; the fields are the arguments of `Publisher.publish`."""

    payload: Source
    message_id: str | None = None
    attributes: Mapping[str, str | float | bytes | Attribute] = field(default_factory=dict)
    subject: str | None = None
    group_id: str | None = None
    deduplication_id: str | None = None


class EntryOutcome(NamedTuple):
    """What became of one entry: what was published, or the error that it alone met.

    `message_id` is the entry's own, or the fresh one it was given: publish the entry again under it, and what was
    stored is found. None where an entry without one failed before that mattered.
    """

    entry: Entry
    message_id: str | None
    published: Published | None
    error: Exception | None


class Batch:
    """Messages for one call: at most ten, and at most `total` bytes of them."""

    def __init__(self, total: int) -> None:
        self._room = total
        self.messages: dict[int, Ready] = {}

    def takes(self, message: Ready) -> bool:
        """Whether there is room for it; the first message always has."""
        return not self.messages or (len(self.messages) < MOST_ENTRIES and message.weight <= self._room)

    def add(self, place: int, message: Ready) -> None:
        """Adds the message of the entry at `place`."""
        self.messages[place] = message
        self._room -= message.weight
