"""The functions, each in a few processes."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.faults import worker
from tests.faults.environment import Site
from tests.faults.workers import Channel, Start, Workers

MODULES = {
    "application": "tests.faults.application",
    "publish": "publish.handler",
    "orders": "consume_queue.handler",
    "landing": "copy_payload.handler",
    "billing": "consume_topic.handler",
    "partner": "tests.faults.endpoint",
    "ledger": "consume_queue.handler",
}
_TELL_THEIR_CALLER = ("application", "partner")  # and nobody else: they are no functions of the stacks
Kill = tuple[int, str]
"""The request to AWS at which a function's process ends, counted from 1, and whether "before" or "after" it."""


@dataclass(frozen=True)
class Reply:
    """What became of an invocation. error: the function's own, as Lambda words it. calls: the requests it made."""

    answer: Any = None
    error: dict[str, str] | None = None
    killed: bool = False
    calls: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it answered."""
        return not self.killed and not self.error

    @property
    def reason(self) -> str:
        """The class of the error, when it did not."""
        return (self.error or {"errorType": "Runtime.ExitError"})["errorType"]

    @property
    def failures(self) -> list[str]:
        """The ids of the records of a batch that are to come again."""
        return [each["itemIdentifier"] for each in (self.answer or {}).get("batchItemFailures", [])]


class Function:
    """One function. Invoked from any thread; a process serves one invocation at a time."""

    def __init__(self, name: str, channels: Sequence[Channel]) -> None:
        self.name = name
        self.unseen = 0
        """Failures that no metric tells of."""
        self.errors: Counter[str] = Counter()
        """What invocations failed with, by class; what killed them, as `Killed`: Lambda's metric Errors."""
        self._lock = threading.Lock()
        self._all = channels
        self._free: queue.SimpleQueue[Channel] = queue.SimpleQueue()

    def wait_until_ready(self) -> None:
        """Raises RuntimeError when the function cannot be imported."""
        for channel in self._all:
            if worker.receive(channel.answers) is None:
                raise RuntimeError(f"{self.name}: the process did not start; what it said is above")
            self._free.put(channel)

    def invoke(self, event: Any, kill: Kill | None = None) -> Reply:
        """Invoke it once, in the next free process."""
        channel = self._free.get()
        try:
            worker.send(channel.invocations, {"event": event, "kill": kill})
            answer = worker.receive(channel.answers)
        finally:
            self._free.put(channel)
        if answer is None:
            raise RuntimeError(f"{self.name}: its process is gone")
        reply = Reply(**answer)
        self._count(reply, _failed(event, reply))
        return reply

    def _count(self, reply: Reply, failed: int) -> None:
        """A function counts what it fails with in a metric of the error's class; what it was killed with, Lambda does.
        Received messages and stale replicas are all else that is counted."""
        told = {
            name: int(number) for name, number in reply.metrics.items() if not name.startswith(("Received", "Stale"))
        }
        with self._lock:
            self.errors["Killed"] += reply.killed
            self.errors.update(told)
            if self.name not in _TELL_THEIR_CALLER:
                self.unseen += max(0, failed - sum(told.values()))


def _failed(event: Any, reply: Reply) -> int:
    """How much of what the function was invoked with has failed. Of a message group that is one record: what follows
    is held back."""
    if reply.error:
        return 1
    records = {record["messageId"]: record["attributes"] for record in event["Records"]} if reply.failures else {}
    return len({records[id_].get("MessageGroupId", id_) for id_ in reply.failures})


class Functions:
    """All functions of a site; a context manager. `modules` names another in the place of a function's own."""

    def __init__(
        self, site: Site, *, endpoint: str, folder: Path, processes: int = 3, modules: Mapping[str, str] = MODULES
    ) -> None:
        self.processes = processes
        """Of each function."""
        self._workers = Workers(
            [
                Start(module, site.environment(name, endpoint=endpoint, log=folder / f"{name}-{number}.log"))
                for name, module in modules.items()
                for number in range(processes)
            ]
        )
        channels = iter(self._workers.channels)
        self._all = {name: Function(name, list(islice(channels, processes))) for name in modules}

    def __getitem__(self, name: str) -> Function:
        return self._all[name]

    def __enter__(self) -> Self:
        try:
            for function in self._all.values():
                function.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._workers.stop()

    @property
    def unseen(self) -> int:
        return sum(function.unseen for function in self._all.values())

    @property
    def errors(self) -> dict[str, dict[str, int]]:
        return {name: dict(+function.errors) for name, function in self._all.items() if +function.errors}
