"""A message of the campaign: its route, size and payload; and its id at each step of the message flow."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from claim_check import upload_id
from claim_check.publishing.outgoing_message import MessageFields

Route = Literal["event", "library", "batch", "outbox", "fifo"]

STANDARD_ROUTES: Mapping[Route, int] = {"event": 4, "library": 3, "batch": 2, "outbox": 1}
"""The routes to a standard topic, with their relative frequencies."""
ROUTES: Mapping[Route, int] = {**STANDARD_ROUTES, "fifo": 1}

THRESHOLD = 16_384
"""Offloading threshold in bytes. It is low, so that ten thousand payloads above it fit into memory."""

PART = 5 << 20
"""Bytes. A payload of this size or more is uploaded to S3 in parts, and a larger one is copied in parts."""

_GROUP = 100


@dataclass(frozen=True)
class CampaignMessage:
    """A message, whose payload is generated from its fields."""

    run: str
    """The key of its run."""
    number: int
    """Its number in the run."""
    route: Route
    size: int
    """The payload's size in bytes."""
    seed: int

    @property
    def id(self) -> str:
        """The message id, and the event's id. The message id of an upload depends on its key and version instead."""
        return f"{self.run}-{self.number:05d}"

    @property
    def group(self) -> str | None:
        """The message group in a FIFO topic, in which messages have the order of their numbers. Otherwise None."""
        return f"{self.run}-{self.number // _GROUP}" if self.route == "fifo" else None

    @property
    def payload(self) -> bytes:
        """The payload: an event's detail as JSON, random bytes of an upload, otherwise ASCII text."""
        if self.route == "event":
            return json.dumps(self.detail, separators=(",", ":"), ensure_ascii=False).encode()
        random_ = self._random()
        if self.route == "outbox":
            return random_.randbytes(self.size)
        return random_.randbytes(self.size // 2 + 1).hex()[: self.size].encode()

    @property
    def detail(self) -> dict[str, str]:
        """An event's detail, which has `size` bytes as compact JSON."""
        frame = len(json.dumps({"text": "ü"}, separators=(",", ":"), ensure_ascii=False).encode())
        return {"text": "ü" + self._random().randbytes(self.size).hex()[: max(0, self.size - frame)]}

    @property
    def sha256(self) -> str:
        """The payload's SHA-256 in hexadecimal."""
        return hashlib.sha256(self.payload).hexdigest()

    def _random(self) -> random.Random:
        return random.Random(f"{self.seed} {self.id}")


def messages(
    run: str, count: int, seed: int, *, threshold: int = THRESHOLD, routes: Mapping[Route, int] = ROUTES
) -> Iterator[CampaignMessage]:
    """Yield messages of several routes and sizes: small, near the threshold, offloaded, and a few in parts.

    routes: the routes with their relative frequencies.
    """
    random_ = random.Random(f"{seed} {run}")
    for number in range(count):
        (route,) = random_.choices(list(routes), list(routes.values()))
        size = _size(random_, route, f"{run}-{number:05d}", threshold)
        yield CampaignMessage(run, number, route, size, seed)


def _size(random_: random.Random, route: Route, message_id: str, threshold: int) -> int:
    kind = random_.random()
    if kind < 0.5:
        return random_.randint(20, 2_000)
    if kind < 0.7:
        return threshold - _overhead(message_id) + random_.choice([-1, 0, 1])
    if kind < 0.995 or route == "event":
        return random_.randint(threshold, 6 * threshold if route != "event" else 3 * threshold)
    return random_.randint(PART - 1, 2 * PART + 1)


def _overhead(message_id: str) -> int:
    """Return the size in bytes of a library message without attributes, not counting its payload."""
    return MessageFields.of(is_fifo=False, message_id=message_id).overhead


# --- message ids ------------------------------------------------------------------------------------------------------


def id_of_event(event: Mapping[str, Any]) -> str:
    """Return the id of the message that the publish function makes of an event."""
    if event["source"] != "aws.s3":
        return str(event["id"])
    uploaded = event["detail"]["object"]
    return upload_id(uploaded["key"], uploaded["version-id"])


def id_of_attributes(attributes: Mapping[str, Any]) -> str:
    """Return the id of a delivered message from its attributes, in the form of SQS or SNS."""
    claim = attributes["ClaimCheck"]
    message_id: str = json.loads(claim.get("StringValue") or claim["Value"])["id"]
    return message_id


def id_of_sns_event(event: Mapping[str, Any]) -> str:
    """Return the id of the message in SNS's event for a function."""
    return id_of_attributes(event["Records"][0]["Sns"]["MessageAttributes"])


def id_of_post(event: Mapping[str, str]) -> str:
    """Return the id of the message in a request of SNS to the endpoint."""
    return id_of_attributes(json.loads(event["body"])["MessageAttributes"])
