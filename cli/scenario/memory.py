"""Peak memory of Lambda functions, from their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cli.scenario.arrivals import milliseconds
from cli.scenario.world import ScenarioWorld
from stacks.deployment import Names, SubscriberConfig

MAXIMUM_MEMORY_MB = 160
_REPORT = re.compile(r"^REPORT RequestId: .*\tMax Memory Used: (\d+) MB", re.MULTILINE)


@dataclass(frozen=True)
class FunctionMemory:
    """The peak memory of a function over all its invocations. None if its log has none."""

    function: str
    account: str
    region: str
    peak_memory_mb: int | None

    @property
    def small(self) -> bool:
        """Whether the function ran and used little memory."""
        return self.peak_memory_mb is not None and 0 < self.peak_memory_mb < MAXIMUM_MEMORY_MB


def measure(
    world: ScenarioWorld, names: Names, subscribers: Iterable[SubscriberConfig], since: datetime
) -> Iterator[FunctionMemory]:
    """Return the memory of the publish function, if its account is reached, and of the subscribers' functions."""
    publisher = names.publisher
    functions = [(publisher.publish_function, publisher.place)] if world.reaches(publisher.place.account) else []
    consumers = [names.subscribers[subscriber.name] for subscriber in subscribers]
    functions += [(each.consume_function, each.place) for each in consumers if each.has_consume_function]
    for function, place in functions:
        logs = world.client("logs", account=place.account, region=place.region)
        yield FunctionMemory(function.name, place.account, place.region, peak_memory(logs, function.name, since))


def peak_memory(logs: Any, function_name: str, since: datetime | None = None) -> int | None:
    """Return the maximum of `Max Memory Used` in a function's REPORT lines, in MiB, or None if there is none.

    `logs` is a boto3 client of CloudWatch Logs.
    """
    start = {"startTime": milliseconds(since)} if since else {}
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function_name}", **start)
    peaks = [int(peak) for page in pages for event in page["events"] for peak in _REPORT.findall(event["message"])]
    return max(peaks, default=None)
