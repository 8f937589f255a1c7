"""Invocations of functions for the messages of a run, with the run's kills and duplicates."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.faults.faults import Chance
from tests.faults.functions import Functions, Kill, Reply
from tests.faults.run import Run

_T = TypeVar("_T")
_FIRST_REQUESTS = 6


class Invocations:
    """The invocations of one run. `ids` are always the ids of the messages that an invocation is for."""

    def __init__(self, functions: Functions, run: Run, *, seed: int) -> None:
        self._functions, self._run, self._chance = functions, run, Chance(seed)
        self._kills = dict(run.kills)
        self._lock = threading.Lock()
        self._decisions: Counter[str] = Counter()
        self.processes = functions.processes
        """Number of processes of each function."""
        self.campaign_ids: dict[str, str] = {}
        """The campaign's ids of messages with another message id."""
        self.disturbances: Counter[str] = Counter()
        """Numbers of killed, duplicated and delayed invocations."""
        self.requests: dict[tuple[str, str], int] = {}
        """Number of requests of a function at its first invocation for a message."""

    def once(self, function: str, event: Any, ids: Sequence[str]) -> Reply:
        """Invoke a function, with a kill if the run has one."""
        return self._invoke(function, event, ids, self._pop_kill(function, ids))

    def once_or_twice(self, function: str, event: Any, ids: Sequence[str]) -> list[Reply]:
        """Invoke a function as `once` does, sometimes twice at the same time."""
        return self._once_or_twice(lambda: self.once(function, event, ids), function, *ids)

    def until_ok(self, function: str, event: Any, message_id: str, *, attempts: int) -> list[Reply]:
        """Invoke a function until it returns, without the delays of AWS, and return the last reply.

        Sometimes all attempts are made twice at the same time. A kill is at the first attempt.
        """

        def invoke() -> Reply:
            reply = self.once(function, event, [message_id])
            for _ in range(attempts - 1):
                if not reply.ok:
                    reply = self._invoke(function, event, [message_id], None)
            return reply

        return self._once_or_twice(invoke, function, message_id)

    def is_delayed(self, sqs_id: str) -> bool:
        """Return whether a received batch is delivered later. sqs_id: SQS's id of its first message."""
        return self._decide(self._run.delayed, "delayed", sqs_id)

    def _invoke(self, function: str, event: Any, ids: Sequence[str], kill: Kill | None) -> Reply:
        reply = self._functions[function].invoke(event, kill)
        with self._lock:
            self.disturbances["killed"] += reply.killed
            self.requests.setdefault((function, self._campaign_id(ids[0])), reply.requests)
        return reply

    def _once_or_twice(self, call: Callable[[], _T], *key: str) -> list[_T]:
        if not self._decide(self._run.duplicated, "duplicated", *key):
            return [call()]
        self.disturbances["duplicated"] += 1
        with ThreadPoolExecutor(2) as pool:
            return [running.result() for running in [pool.submit(call), pool.submit(call)]]

    def _pop_kill(self, function: str, ids: Sequence[str]) -> Kill | None:
        with self._lock:
            planned = [self._kills.pop((function, self._campaign_id(message_id)), None) for message_id in ids]
        kill = next((kill for kill in planned if kill), None)
        if kill is None and self._decide(self._run.killed, "killed", function, *ids):
            request = self._chance.choose(range(1, _FIRST_REQUESTS + 1), "request", function, *ids)
            return request, self._chance.choose(["before", "after"], "moment", function, *ids)
        return kill

    def _campaign_id(self, message_id: str) -> str:
        return self.campaign_ids.get(message_id, message_id)

    def _decide(self, probability: float, *key: object) -> bool:
        """Decide anew at each call with the same key."""
        if not probability:
            return False
        with self._lock:
            self._decisions[str(key)] += 1
            return self._chance.decide(probability, *key, self._decisions[str(key)])
