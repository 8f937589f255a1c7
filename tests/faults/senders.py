"""Senders of a run's messages: applications, EventBridge before the publish function, and uploads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from tests.faults.dead_letters import DeadLetters
from tests.faults.environment import ACCOUNT, REGION, Environment
from tests.faults.invocations import Invocations
from tests.faults.message import CampaignMessage, id_of_event

_ATTEMPTS = 3
_MAXIMUM_BATCH = 10
_OUTBOX = "outbox/"


class Senders:
    """The senders of one run."""

    def __init__(self, environment: Environment, invocations: Invocations) -> None:
        self._environment, self._invocations = environment, invocations
        self._dead_letters = DeadLetters(environment, invocations)
        self._lock = threading.Lock()
        self._routes = {
            "event": self._put_event,
            "outbox": self._upload,
            "library": self._call_library,
            "batch": self._call_library,
            "fifo": self._call_library_in_order,
        }
        self.sent: dict[str, CampaignMessage] = {}
        """Messages by message id."""
        self.rejected: list[CampaignMessage] = []
        """Messages whose sender received an error at each attempt, and must send them again."""

    def send(self, messages: Iterable[CampaignMessage]) -> None:
        """Publish all messages. Each is then published or rejected."""
        with ThreadPoolExecutor(2 * self._invocations.processes) as pool:
            list(pool.map(lambda unit: self._routes[unit[0].route](unit), _units(messages)))

    def _put_event(self, unit: Sequence[CampaignMessage]) -> None:
        (message,) = unit
        self._publish(message, _event(message))

    def _upload(self, unit: Sequence[CampaignMessage]) -> None:
        (message,) = unit
        payload, key = message.payload, f"{_OUTBOX}{message.id}"
        bucket = self._environment.payloads
        version = self._environment.s3.put_object(Bucket=bucket, Key=key, Body=payload)["VersionId"]
        uploaded = {"key": key, "size": len(payload), "version-id": version}
        detail = {"bucket": {"name": bucket}, "object": uploaded, "requester": ACCOUNT}
        self._publish(
            message, _event(message) | {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
        )

    def _publish(self, message: CampaignMessage, event: dict[str, Any]) -> None:
        """Invoke the publish function as EventBridge does: asynchronously, and sometimes twice."""
        message_id = id_of_event(event)
        self.sent[message_id], self._invocations.campaign_ids[message_id] = message, message.id
        self._dead_letters.attempt("publish", event, message.id)

    def _call_library_in_order(self, unit: Sequence[CampaignMessage]) -> None:
        """Publish a group one by one. After a rejected message, do not send the rest of the group."""
        for position, message in enumerate(unit):
            if not self._call_library([message]):
                self.sent.update({rest.id: rest for rest in unit[position:]})
                with self._lock:
                    self.rejected += unit[position + 1 :]
                return

    def _call_library(self, unit: Sequence[CampaignMessage]) -> bool:
        """Publish with the library, and return whether all messages were published."""
        self.sent.update({message.id: message for message in unit})
        left = unit
        for _ in range(_ATTEMPTS):
            event = {"messages": [asdict(message) for message in left]}
            reply = self._invocations.once("application", event, [message.id for message in left])
            if reply.ok:
                left = [message for message in left if message.id in reply.result]
            if not left:
                return True
        with self._lock:
            self.rejected += left
        return False


def _units(messages: Iterable[CampaignMessage]) -> Iterator[list[CampaignMessage]]:
    """Yield the messages that are sent together: up to ten of a batch, all of a group, otherwise one."""
    open_units: dict[str, list[CampaignMessage]] = {}
    for message in messages:
        if message.route not in ("batch", "fifo"):
            yield [message]
            continue
        unit = open_units.setdefault(message.group or message.run, [])
        unit.append(message)
        if message.route == "batch" and len(unit) == _MAXIMUM_BATCH:
            yield open_units.pop(message.run)
    yield from open_units.values()


def _event(message: CampaignMessage) -> dict[str, Any]:
    return {
        "id": message.id,
        "source": "campaign",
        "detail-type": "Sent",
        "account": ACCOUNT,
        "region": REGION,
        "detail": message.detail if message.route == "event" else {},
    }
