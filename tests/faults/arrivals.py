"""Messages that reached the subscribers' applications: executions, copies, tasks, and receipts of a web server."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shared.handoff import HandOff

_READERS = 4
_TASKS_PER_REQUEST = 100  # ECS's maximum


@dataclass(frozen=True)
class Arrival:
    """A message that was handed off to an application."""

    subscriber: str
    arn: str
    """The ARN, or another unique name, of the result of the hand-off."""
    message_id: str
    sha256: str | None
    """The SHA-256 in the hand-off."""
    bucket: str
    key: str
    """The place of the payload in the hand-off."""
    started: float = 0.0
    """Seconds since 1970, if the order matters."""


class ArrivalSource(Protocol):
    """A service that records hand-offs."""

    def arrivals(self) -> Iterable[Arrival]:
        """Return all arrivals since the start."""


class Arrivals:
    """The arrivals of several sources. read: returns the bytes at a bucket and key, or None if they do not exist."""

    def __init__(self, sources: Sequence[ArrivalSource], *, read: Callable[[str, str], bytes | None]) -> None:
        self._sources, self._read = sources, read

    def all(self) -> list[Arrival]:
        """Return the arrivals of all sources."""
        return [arrival for source in self._sources for arrival in source.arrivals()]

    def stored_digests(self, arrivals: Iterable[Arrival]) -> dict[tuple[str, str], str]:
        """Return the SHA-256 of the stored payloads, by (bucket, key)."""
        places = sorted({(arrival.bucket, arrival.key) for arrival in arrivals})
        with ThreadPoolExecutor(_READERS) as pool:
            return dict(zip(places, pool.map(self._digest, places), strict=True))

    def _digest(self, place: tuple[str, str]) -> str:
        payload = self._read(*place)
        return "missing" if payload is None else hashlib.sha256(payload).hexdigest()


class ExecutionArrivals:
    """The executions of a state machine: the hand-offs of a consume function with a queue."""

    def __init__(self, subscriber: str, *, states: Any, state_machine: str) -> None:
        self._subscriber, self._states, self.state_machine = subscriber, states, state_machine
        self._known: dict[str, Arrival] = {}
        self._new: list[HandOff] = []

    def arrivals(self) -> Iterable[Arrival]:
        """Return all executions. Each is described once."""
        pages = self._states.get_paginator("list_executions").paginate(
            stateMachineArn=self.state_machine, maxResults=1000
        )
        arns = [execution["executionArn"] for page in pages for execution in page["executions"]]
        with ThreadPoolExecutor(_READERS) as pool:
            new = [arn for arn in arns if arn not in self._known]
            for execution in pool.map(lambda arn: self._states.describe_execution(executionArn=arn), new):
                self._add(execution)
        return self._known.values()

    def new(self) -> list[HandOff]:
        """Return the hand-offs since the previous call."""
        self.arrivals()
        new, self._new = self._new, []
        return new

    def _add(self, execution: Mapping[str, Any]) -> None:
        handoff = HandOff.from_input(json.loads(execution["input"]))
        self._new.append(handoff)
        arn, started = execution["executionArn"], execution["startDate"].timestamp()
        self._known[arn] = _handoff_arrival(self._subscriber, arn, handoff, started=started)


class CopyArrivals:
    """The results of the copy function, one for each execution.

    If the function ran several times for an execution, the state machine uses the first result.
    """

    def __init__(self, subscriber: str) -> None:
        self._subscriber = subscriber
        self._known: dict[str, Arrival] = {}

    def add(self, message_id: str, landed: Mapping[str, Any]) -> None:
        """Add the function's result for the execution of a message."""
        arn = f"s3://{landed['bucket']}/{landed['key']}"
        arrival = Arrival(self._subscriber, arn, message_id, landed["sha256"], landed["bucket"], landed["key"])
        self._known.setdefault(message_id, arrival)

    def arrivals(self) -> Iterable[Arrival]:
        """Return all results."""
        return self._known.values()


class TaskArrivals:
    """The tasks of a cluster: the hand-offs of a consume function without a queue."""

    def __init__(self, subscriber: str, *, ecs: Any, cluster: str) -> None:
        self._subscriber, self._ecs, self._cluster = subscriber, ecs, cluster
        self._known: dict[str, Arrival] = {}

    def arrivals(self) -> Iterable[Arrival]:
        """Return all tasks. Each is described once."""
        list_tasks = self._ecs.get_paginator("list_tasks")
        pages = [
            page
            for status in ("RUNNING", "STOPPED")
            for page in list_tasks.paginate(cluster=self._cluster, desiredStatus=status)
        ]
        # A task can stop between the two lists.
        arns = list({arn: None for page in pages for arn in page["taskArns"] if arn not in self._known})
        for start in range(0, len(arns), _TASKS_PER_REQUEST):
            new = arns[start : start + _TASKS_PER_REQUEST]
            for task in self._ecs.describe_tasks(cluster=self._cluster, tasks=new)["tasks"]:
                self._known[task["taskArn"]] = _handoff_arrival(
                    self._subscriber, task["taskArn"], HandOff.from_task(task)
                )
        return self._known.values()


class ReceiptArrivals:
    """The receipts of a web server, in its folder.

    A message that was published twice has two notifications. The application removes the duplicate by the message id,
    which is possible unless the payloads differ.
    """

    def __init__(self, subscriber: str, folder: Path) -> None:
        self._subscriber, self._folder = subscriber, folder
        self._known: dict[str, Arrival] = {}

    def arrivals(self) -> Iterable[Arrival]:
        """Return all receipts, without duplicates. Each is read once."""
        for receipt in self._folder.glob("*.json"):
            if receipt.stem not in self._known:
                self._known[receipt.stem] = self._arrival(receipt)
        return {(arrival.message_id, arrival.sha256): arrival for arrival in self._known.values()}.values()

    def _arrival(self, receipt: Path) -> Arrival:
        content = json.loads(receipt.read_text())
        place = (str(self._folder), receipt.stem)
        return Arrival(self._subscriber, receipt.stem, content["message_id"], content["sha256"], *place)


def _handoff_arrival(subscriber: str, arn: str, handoff: HandOff, *, started: float = 0.0) -> Arrival:
    stored = handoff.stored
    return Arrival(subscriber, arn, handoff.message_id, handoff.sha256, stored.bucket, stored.key, started)
