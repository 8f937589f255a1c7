"""What the applications behind the subscribers were handed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

_READERS = 4


@dataclass(frozen=True)
class Arrival:
    """An execution or a task. sha256: as the function said it; bucket, key: where it said the payload is."""

    subscriber: str
    arn: str
    message_id: str
    sha256: str
    bucket: str
    key: str


class Downstream(Protocol):
    """Where to look: a state machine and a cluster, by ARN, with clients of their accounts; and whose client reads a
    bucket."""

    states: Any
    state_machine: str
    ecs: Any
    cluster: str

    def s3_of(self, bucket: str) -> Any: ...


class Arrivals:
    """Looks at all there are, each of them once."""

    def __init__(self, site: Downstream) -> None:
        self._site = site
        self._known: dict[str, Arrival] = {}

    def all(self) -> list[Arrival]:
        """Every execution and every task that was ever started."""
        with ThreadPoolExecutor(_READERS) as pool:
            executions = pool.map(self._execution, [arn for arn in self._executions() if arn not in self._known])
            self._known |= {arrival.arn: arrival for arrival in executions}
        self._known |= {arrival.arn: arrival for arrival in self._described(self._tasks())}
        return list(self._known.values())

    def stored_digests(self, arrivals: Iterable[Arrival]) -> dict[tuple[str, str], str]:
        """The SHA-256 of what lies where the applications were told it does, by (bucket, key)."""
        places = sorted({(arrival.bucket, arrival.key) for arrival in arrivals})
        with ThreadPoolExecutor(_READERS) as pool:
            return dict(zip(places, pool.map(self._digest, places), strict=True))

    def _digest(self, place: tuple[str, str]) -> str:
        s3 = self._site.s3_of(place[0])
        try:
            body = s3.get_object(Bucket=place[0], Key=place[1])["Body"]
        except s3.exceptions.NoSuchKey:
            return "nothing there"
        return hashlib.sha256(body.read()).hexdigest()

    def _executions(self) -> Iterator[str]:
        pages = self._site.states.get_paginator("list_executions").paginate(
            stateMachineArn=self._site.state_machine, maxResults=1000
        )
        return (execution["executionArn"] for page in pages for execution in page["executions"])

    def _execution(self, arn: str) -> Arrival:
        handed = json.loads(self._site.states.describe_execution(executionArn=arn)["input"])
        pointer, summary = handed["pointer"], handed["summary"]
        return Arrival("orders", arn, handed["message_id"], summary["sha256"], pointer["bucket"], pointer["key"])

    def _tasks(self) -> list[str]:
        pages = self._site.ecs.get_paginator("list_tasks").paginate(cluster=self._site.cluster)
        return [arn for page in pages for arn in page["taskArns"] if arn not in self._known]

    def _described(self, arns: list[str]) -> Iterator[Arrival]:
        for start in range(0, len(arns), 100):
            some = arns[start : start + 100]
            for task in self._site.ecs.describe_tasks(cluster=self._site.cluster, tasks=some)["tasks"]:
                yield _task(task)


def _task(task: Mapping[str, Any]) -> Arrival:
    (override,) = task["overrides"]["containerOverrides"]
    handed = {variable["name"]: variable["value"] for variable in override["environment"]}
    return Arrival(
        "billing",
        task["taskArn"],
        handed["MESSAGE_ID"],
        handed["PAYLOAD_SHA256"],
        handed["PAYLOAD_BUCKET"],
        handed["PAYLOAD_KEY"],
    )
