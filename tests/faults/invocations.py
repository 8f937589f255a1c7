"""Invokes functions for the messages of a lot: killed, and doubled, as the lot says."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tests.faults.functions import Functions, Kill, Reply
from tests.faults.run import Chance, Lot

_T = TypeVar("_T")


class Invocations:
    """Of one lot. ids: those of the messages that an invocation is for."""

    def __init__(self, functions: Functions, lot: Lot, *, seed: int) -> None:
        self._functions, self._lot, self._chance = functions, lot, Chance(seed)
        self._kills = dict(lot.kills)
        self._lock = threading.Lock()
        self._visits: Counter[str] = Counter()
        self.processes = functions.processes
        """Of each function."""
        self.names: dict[str, str] = {}
        """The campaign's own ids of messages that became known by others."""
        self.done: Counter[str] = Counter()
        """How many invocations were killed, doubled and held back."""
        self.calls: dict[tuple[str, str], int] = {}
        """The requests that a function made for a message, at its first invocation."""

    def once(self, function: str, event: Any, ids: Sequence[str]) -> Reply:
        """Invoke it, perhaps to be killed."""
        return self._invoke(function, event, ids, self._kill(function, ids))

    def perhaps_twice(self, function: str, event: Any, ids: Sequence[str]) -> list[Reply]:
        """As `once`; now and then two at the same time."""
        return self._perhaps_twice(lambda: self.once(function, event, ids), function, *ids)

    def until_ok(self, function: str, event: Any, id_: str, *, attempts: int) -> list[Reply]:
        """Again until it answers, without the minutes in between; the last reply. Now and then all that twice, at the
        same time. Who is killed, is at the first attempt."""

        def invoke() -> Reply:
            reply = self.once(function, event, [id_])
            for _ in range(attempts - 1):
                if not reply.ok:
                    reply = self._invoke(function, event, [id_], None)
            return reply

        return self._perhaps_twice(invoke, function, id_)

    def held_back(self, first: str) -> bool:
        """Whether what was received, the first of it under this id of SQS's, is to come later."""
        return self._strikes(self._lot.held_back, "held back", first)

    def _invoke(self, function: str, event: Any, ids: Sequence[str], kill: Kill | None) -> Reply:
        reply = self._functions[function].invoke(event, kill)
        with self._lock:
            self.done["killed"] += reply.killed
            self.calls.setdefault((function, self._name(ids[0])), reply.calls)
        return reply

    def _perhaps_twice(self, call: Callable[[], _T], *what: str) -> list[_T]:
        if not self._strikes(self._lot.doubled, "doubled", *what):
            return [call()]
        self.done["doubled"] += 1
        with ThreadPoolExecutor(2) as pool:
            return [running.result() for running in [pool.submit(call), pool.submit(call)]]

    def _kill(self, function: str, ids: Sequence[str]) -> Kill | None:
        with self._lock:
            planned = [self._kills.pop((function, self._name(id_)), None) for id_ in ids]
        told = next((kill for kill in planned if kill), None)
        if told is None and self._strikes(self._lot.killed, "killed", function, *ids):
            return self._chance.kill(function, *ids)
        return told

    def _name(self, id_: str) -> str:
        return self.names.get(id_, id_)

    def _strikes(self, probability: float, *what: object) -> bool:
        """A new throw each time the same is asked."""
        if not probability:
            return False
        with self._lock:
            self._visits[str(what)] += 1
            return self._chance.strikes(probability, *what, self._visits[str(what)])
