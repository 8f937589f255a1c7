"""The tasks of a cluster: what a subscribed function was handed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.faults.arrivals import Arrival

_DESCRIBED_AT_ONCE = 100


class Tasks:
    """Each is described once."""

    def __init__(self, subscriber: str, *, ecs: Any, cluster: str) -> None:
        self._subscriber, self._ecs, self._cluster = subscriber, ecs, cluster
        self._known: dict[str, Arrival] = {}

    def arrivals(self) -> Iterable[Arrival]:
        pages = self._ecs.get_paginator("list_tasks").paginate(cluster=self._cluster)
        arns = [arn for page in pages for arn in page["taskArns"] if arn not in self._known]
        for start in range(0, len(arns), _DESCRIBED_AT_ONCE):
            some = arns[start : start + _DESCRIBED_AT_ONCE]
            described = self._ecs.describe_tasks(cluster=self._cluster, tasks=some)["tasks"]
            self._known |= {task["taskArn"]: self._arrival(task) for task in described}
        return self._known.values()

    def _arrival(self, task: Mapping[str, Any]) -> Arrival:
        (override,) = task["overrides"]["containerOverrides"]
        handed = {variable["name"]: variable["value"] for variable in override["environment"]}
        return Arrival(
            self._subscriber,
            task["taskArn"],
            handed["MESSAGE_ID"],
            handed["PAYLOAD_SHA256"],
            handed["PAYLOAD_BUCKET"],
            handed["PAYLOAD_KEY"],
        )
