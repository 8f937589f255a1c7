"""The functions, each in a few worker processes, which are forked from one process with the shared modules."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Self

from tests.faults import worker
from tests.faults.environment import Environment
from tests.faults.worker import Channel

MODULES = {
    "application": "tests.faults.application",
    "publish": "publish.handler",
    "orders": "consume_queue.handler",
    "copy": "copy_payload.handler",
    "billing": "consume_topic.handler",
    "partner": "tests.faults.endpoint",
    "ledger": "consume_queue.handler",
}
_REPOSITORY = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 5.0
_WITHOUT_METRICS = ("application", "partner")  # not functions of the stacks; they return errors to their callers
Kill = tuple[int, str]
"""The request to AWS at which a function's process is killed, counted from 1, and "before" or "after"."""


@dataclass(frozen=True)
class Reply:
    """The result of an invocation."""

    result: Any = None
    error: dict[str, str] | None = None
    """The function's error in Lambda's form."""
    killed: bool = False
    requests: int = 0
    """Number of the function's requests to AWS."""
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return not self.killed and not self.error

    @property
    def reason(self) -> str:
        """The class of the error if the function did not return."""
        return (self.error or {"errorType": "Runtime.ExitError"})["errorType"]

    @property
    def failures(self) -> list[str]:
        """The ids of the records of a batch that return to the queue."""
        return [failure["itemIdentifier"] for failure in (self.result or {}).get("batchItemFailures", [])]


class FunctionWorker:
    """One function. Several threads may invoke it; each of its processes handles one invocation at a time."""

    def __init__(self, name: str, channels: Sequence[Channel]) -> None:
        self.name = name
        self.errors: Counter[str] = Counter()
        """Failed invocations by error class. `Killed` stands for Lambda's metric Errors."""
        self.uncounted = 0
        """Failures without a metric."""
        self._lock = threading.Lock()
        self._all = channels
        self._free: queue.SimpleQueue[Channel] = queue.SimpleQueue()

    def wait_until_ready(self) -> None:
        """Wait until all processes have imported the function. Raises RuntimeError if the import fails."""
        for channel in self._all:
            if worker.receive(channel) is None:
                raise RuntimeError(f"{self.name}: the process did not start. Its error is printed above.")
            self._free.put(channel)

    def invoke(self, event: Any, kill: Kill | None = None) -> Reply:
        """Invoke the function once, in the next free process."""
        channel = self._free.get()
        try:
            worker.send(channel, {"event": event, "kill": kill})
            content = worker.receive(channel)
        finally:
            self._free.put(channel)
        if content is None:
            raise RuntimeError(f"{self.name}: the process has ended.")
        reply = Reply(**content)
        self._count(reply, _failed_records(event, reply))
        return reply

    def _count(self, reply: Reply, failed: int) -> None:
        """Compare the failures with the metrics. A function counts each error in a metric of the error's class."""
        counted = {
            name: int(number) for name, number in reply.metrics.items() if not name.startswith(("Received", "Stale"))
        }
        with self._lock:
            self.errors["Killed"] += reply.killed
            self.errors.update(counted)
            if self.name not in _WITHOUT_METRICS:
                self.uncounted += max(0, failed - sum(counted.values()))


def _failed_records(event: Any, reply: Reply) -> int:
    """Return the number of failed records. Of a message group only the first counts, because it blocks the others."""
    if reply.error:
        return 1
    records = {record["messageId"]: record["attributes"] for record in event["Records"]} if reply.failures else {}
    return len({records[message_id].get("MessageGroupId", message_id) for message_id in reply.failures})


class Functions:
    """All functions of an environment. A context manager. `modules` replaces modules of functions."""

    def __init__(
        self,
        environment: Environment,
        *,
        endpoint: str,
        folder: Path,
        processes: int = 3,
        modules: Mapping[str, str] = MODULES,
    ) -> None:
        self.processes = processes
        """Number of processes of each function."""
        starts = [
            {
                "module": module,
                "environment": environment.variables(name, endpoint=endpoint, log=folder / f"{name}-{number}.log"),
            }
            for name, module in modules.items()
            for number in range(processes)
        ]
        self._processes = _Processes(starts)
        channels = iter(self._processes.channels)
        self._all = {name: FunctionWorker(name, list(islice(channels, processes))) for name in modules}

    def __getitem__(self, name: str) -> FunctionWorker:
        return self._all[name]

    def __enter__(self) -> Self:
        try:
            for function in self._all.values():
                function.wait_until_ready()
        except BaseException:
            self._processes.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.stop()

    @property
    def uncounted(self) -> int:
        """The failures without a metric, of all functions."""
        return sum(function.uncounted for function in self._all.values())

    @property
    def errors(self) -> dict[str, dict[str, int]]:
        """The failures with a metric, by function and error class."""
        return {name: dict(+function.errors) for name, function in self._all.items() if +function.errors}


class _Processes:
    """Processes with a module and environment variables each, started at once. `channels` has the same order."""

    def __init__(self, starts: Sequence[Mapping[str, Any]]) -> None:
        pairs = [Pipe() for _ in starts]
        self.channels: list[Channel] = [own for own, _ in pairs]
        inherited = [other.fileno() for _, other in pairs]
        arguments = [{**start, "channel": file} for start, file in zip(starts, inherited, strict=True)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker", json.dumps(arguments)],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(str(folder) for folder in (_REPOSITORY, _REPOSITORY / "lambdas")),
            },
            stdin=subprocess.DEVNULL,
            pass_fds=inherited,
            start_new_session=True,
        )
        for _, other in pairs:
            other.close()

    def stop(self) -> None:
        """Stop the processes. Each ends when its channel is closed."""
        for channel in self.channels:
            channel.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
