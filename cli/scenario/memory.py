"""Peak memory of Lambda functions, from their logs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cli.scenario.arrivals import milliseconds
from cli.scenario.world import ScenarioWorld
from stacks.deployment import Names, SubscriberConfig

MAXIMUM_MEMORY_MB = 160
_REPORT = re.compile(r"^REPORT RequestId: (\S+)\t.*\tMax Memory Used: (\d+) MB", re.MULTILINE)
_READ = re.compile(r'"read_bytes": ?(\d+)')


@dataclass(frozen=True)
class FunctionMemory:
    """The peak memory of a function over all its invocations, and the bytes it read. None if its log has none."""

    function: str
    account: str
    region: str
    peak_memory_mb: int | None
    read_bytes: int | None = None
    """Payload bytes that own code of a consume function read from S3."""
    by_size: Sequence[tuple[int, int]] = ()
    """Sizes of payloads in bytes, each with the most megabytes that an invocation with it used."""

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
        log = (logs, function.name, since)
        yield FunctionMemory(
            *(function.name, place.account, place.region),
            peak_memory_mb=peak_memory(*log),
            read_bytes=read_bytes(*log),
            by_size=memory_by_size(*log),
        )


def peak_memory(logs: Any, function_name: str, since: datetime | None = None) -> int | None:
    """Return the maximum of `Max Memory Used` in a function's REPORT lines, in MiB, or None if there is none.

    `logs` is a boto3 client of CloudWatch Logs.
    """
    return max(_peaks(logs, function_name, since).values(), default=None)


def read_bytes(logs: Any, function_name: str, since: datetime | None = None) -> int | None:
    """Return the sum of `read_bytes` in a function's log, or None if no line has it."""
    counts = [int(count) for text in _messages(logs, function_name, since) for count in _READ.findall(text)]
    return sum(counts) if counts else None


def memory_by_size(logs: Any, function_name: str, since: datetime | None = None) -> list[tuple[int, int]]:
    """Return the sizes of payloads in a function's log, and the maximum memory of the invocations that log each."""
    peaks, memory = _peaks(logs, function_name, since), dict[int, int]()
    for text in _messages(logs, function_name, since):
        match _json(text):
            case {"function_request_id": str(request), "bytes": int(size)} if request in peaks:
                memory[size] = max(peaks[request], memory.get(size, 0))
    return sorted(memory.items())


def _peaks(logs: Any, function_name: str, since: datetime | None) -> dict[str, int]:
    """Return the maximum memory of each invocation, by its request id."""
    texts = _messages(logs, function_name, since)
    return {request: int(peak) for text in texts for request, peak in _REPORT.findall(text)}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _messages(logs: Any, function_name: str, since: datetime | None) -> Iterator[str]:
    start = {"startTime": milliseconds(since)} if since else {}
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function_name}", **start):
        yield from (event["message"] for event in page["events"])
