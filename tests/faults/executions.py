"""The executions of a state machine: what a subscriber with a queue was handed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faults.arrivals import READERS, Arrival


class Executions:
    """Each is described once, and its input given once to what comes next."""

    def __init__(self, subscriber: str, *, states: Any, state_machine: str) -> None:
        self._subscriber, self._states, self.state_machine = subscriber, states, state_machine
        self._known: dict[str, Arrival] = {}
        self._fresh: list[dict[str, Any]] = []

    def arrivals(self) -> Iterable[Arrival]:
        pages = self._states.get_paginator("list_executions").paginate(
            stateMachineArn=self.state_machine, maxResults=1000
        )
        arns = [execution["executionArn"] for page in pages for execution in page["executions"]]
        with ThreadPoolExecutor(READERS) as pool:
            for described in pool.map(self._describe, [arn for arn in arns if arn not in self._known]):
                self._know(described)
        return self._known.values()

    def fresh(self) -> list[dict[str, Any]]:
        """The inputs of the executions since this was asked last."""
        self.arrivals()
        fresh, self._fresh = self._fresh, []
        return fresh

    def _describe(self, arn: str) -> dict[str, Any]:
        described: dict[str, Any] = self._states.describe_execution(executionArn=arn)
        return described

    def _know(self, described: dict[str, Any]) -> None:
        handed = json.loads(described["input"])
        pointer, summary = handed["pointer"], handed["summary"]
        self._fresh.append(handed)
        self._known[described["executionArn"]] = Arrival(
            self._subscriber,
            described["executionArn"],
            handed["message_id"],
            summary["sha256"],
            pointer["bucket"],
            pointer["key"],
            described["startDate"].timestamp(),
        )
