"""Those who send: applications, EventBridge in front of the publish function, and who uploads to the outbox."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faults.dead_letters import DeadLetters
from tests.faults.environment import ACCOUNT, REGION, Site
from tests.faults.identity import published_id
from tests.faults.invocations import Invocations
from tests.faults.message import Message

_TRIES = 3
_LONGEST_BATCH = 10
_OUTBOX = "outbox/"


class Senders:
    """Of the messages of one lot. What is sent becomes known by its id in `sent`."""

    def __init__(self, site: Site, invocations: Invocations) -> None:
        self._site, self._invocations = site, invocations
        self._dead_letters = DeadLetters(site, invocations)
        self._lock = threading.Lock()
        self._routes = {
            "event": self._put_event,
            "outbox": self._upload,
            "library": self._call_library,
            "batch": self._call_library,
            "fifo": self._call_library_in_order,
        }
        self.sent: dict[str, Message] = {}
        self.refused: list[Message] = []
        """What its sender was told has failed, several times over; and is to send again."""

    def send(self, messages: Iterable[Message]) -> None:
        """Have all of them published, or refused."""
        with ThreadPoolExecutor(2 * self._invocations.processes) as pool:
            list(pool.map(lambda unit: self._routes[unit[0].route](unit), _units(messages)))

    def _put_event(self, unit: Sequence[Message]) -> None:
        (message,) = unit
        self._publish(message, _event(message))

    def _upload(self, unit: Sequence[Message]) -> None:
        (message,) = unit
        payload, key = message.payload, f"{_OUTBOX}{message.id}"
        version = self._site.s3.put_object(Bucket=self._site.payloads, Key=key, Body=payload)["VersionId"]
        uploaded = {"key": key, "size": len(payload), "version-id": version}
        detail = {"bucket": {"name": self._site.payloads}, "object": uploaded, "requester": ACCOUNT}
        told = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
        self._publish(message, _event(message) | told)

    def _publish(self, message: Message, event: dict[str, Any]) -> None:
        """EventBridge's way to the publish function: asynchronously, and now and then twice."""
        id_ = published_id(event)
        self.sent[id_], self._invocations.names[id_] = message, message.id
        self._dead_letters.attempt("publish", event, message.id)

    def _call_library_in_order(self, unit: Sequence[Message]) -> None:
        """One after another; after one that is refused, nothing of its group is sent."""
        for number, message in enumerate(unit):
            if not self._call_library([message]):
                self.sent.update({each.id: each for each in unit[number:]})
                with self._lock:
                    self.refused += unit[number + 1 :]
                return

    def _call_library(self, unit: Sequence[Message]) -> bool:
        """Whether all were taken."""
        self.sent.update({message.id: message for message in unit})
        left = unit
        for _ in range(_TRIES):
            event = {"messages": [message.to_dict() for message in left]}
            reply = self._invocations.once("application", event, [message.id for message in left])
            if reply.ok:
                left = [message for message in left if message.id in reply.answer]
            if not left:
                return True
        with self._lock:
            self.refused += left
        return False


def _units(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """What is sent together: up to ten of a batch; all messages of a group, which are sent one after another; all
    others alone."""
    together: dict[str, list[Message]] = {}
    for message in messages:
        if message.route not in ("batch", "fifo"):
            yield [message]
            continue
        unit = together.setdefault(message.group or message.lot, [])
        unit.append(message)
        if message.route == "batch" and len(unit) == _LONGEST_BATCH:
            yield together.pop(message.lot)
    yield from together.values()


def _event(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "source": "campaign",
        "detail-type": "Sent",
        "account": ACCOUNT,
        "region": REGION,
        "detail": message.detail if message.route == "event" else {},
    }
