"""A message of the campaign: its route, its size, and its bytes, which are made again wherever they are needed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from claim_check.publishing.outgoing_message import MessageFields

Route = Literal["event", "library", "batch", "outbox", "fifo"]

DOORS: Mapping[Route, int] = {"event": 4, "library": 3, "batch": 2, "outbox": 1}
"""The ways to a topic that is not FIFO, and how often each is taken."""
ROUTES: Mapping[Route, int] = {**DOORS, "fifo": 1}

THRESHOLD = 16_384
"""Bytes. Offloading is the same at every threshold, and ten thousand payloads of this size fit into memory."""

PART = 5 << 20
"""Bytes. From here on a payload goes to S3 in parts, and above it S3 copies it in parts."""

_GROUP = 100


@dataclass(frozen=True)
class Message:
    """number: of the message within its lot, of which the bytes are made with the seed. size: of the payload."""

    lot: str
    number: int
    route: Route
    size: int
    seed: int

    @property
    def id(self) -> str:
        """The message id, and the event's; an upload's is made of its key and version instead."""
        return f"{self.lot}-{self.number:05d}"

    @property
    def group(self) -> str | None:
        """The message group of a FIFO topic, in which messages have their numbers' order; of others None."""
        return f"{self.lot}-{self.number // _GROUP}" if self.route == "fifo" else None

    @property
    def payload(self) -> bytes:
        """The payload: JSON of an event's detail; any bytes of an upload; ASCII text else, which may go inline."""
        if self.route == "event":
            return json.dumps(self.detail, separators=(",", ":"), ensure_ascii=False).encode()
        dice = self._dice()
        if self.route == "outbox":
            return dice.randbytes(self.size)
        return dice.randbytes(self.size // 2 + 1).hex()[: self.size].encode()

    @property
    def detail(self) -> dict[str, str]:
        """An event's detail, of `size` bytes as compact JSON."""
        frame = len(json.dumps({"text": "ü"}, separators=(",", ":"), ensure_ascii=False).encode())
        return {"text": "ü" + self._dice().randbytes(self.size).hex()[: max(0, self.size - frame)]}

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        return cls(**fields)

    def _dice(self) -> random.Random:
        return random.Random(f"{self.seed} {self.id}")


def messages(
    lot: str, count: int, seed: int, *, threshold: int = THRESHOLD, routes: Mapping[Route, int] = ROUTES
) -> Iterator[Message]:
    """A mixture: by events, by the library alone and in batches, by the outbox, and in the groups of a FIFO topic;
    small, around the threshold to the byte, offloaded, and a few in parts. routes: how often each is taken."""
    dice = random.Random(f"{seed} {lot}")
    for number in range(count):
        (route,) = dice.choices(list(routes), list(routes.values()))
        yield Message(lot, number, route, _size(dice, route, f"{lot}-{number:05d}", threshold), seed)


def _size(dice: random.Random, route: Route, id_: str, threshold: int) -> int:
    kind = dice.random()
    if kind < 0.5:
        return dice.randint(20, 2_000)
    if kind < 0.7:
        return threshold - _overhead(id_) + dice.choice([-1, 0, 1])
    if kind < 0.995 or route == "event":
        return dice.randint(threshold, 6 * threshold if route != "event" else 3 * threshold)
    return dice.randint(PART - 1, 2 * PART + 1)


def _overhead(id_: str) -> int:
    """What a message of the library, under this id and without attributes, has beside its payload."""
    return MessageFields.of(is_fifo=False, message_id=id_).overhead
