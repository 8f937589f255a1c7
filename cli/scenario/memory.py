"""Peak memory of Lambda functions, from their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cli.scenario.function_log import as_json, log_lines
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
        texts = list(log_lines(logs, function.name, since))
        yield FunctionMemory(
            *(function.name, place.account, place.region),
            peak_memory_mb=peak_memory(texts),
            read_bytes=read_bytes(texts),
            by_size=memory_by_size(texts),
        )


def peak_memory(texts: Iterable[str]) -> int | None:
    """Return the maximum of `Max Memory Used` in a function's REPORT lines, in MiB, or None if there is none."""
    return max(_peaks(texts).values(), default=None)


def read_bytes(texts: Iterable[str]) -> int | None:
    """Return the sum of `read_bytes` in a function's log, or None if no line has it."""
    counts = [int(count) for text in texts for count in _READ.findall(text)]
    return sum(counts) if counts else None


def memory_by_size(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return the sizes of payloads in a function's log, and the maximum memory of the invocations that log each."""
    peaks, memory = _peaks(texts), dict[int, int]()
    for text in texts:
        match as_json(text):
            case {"function_request_id": str(request), "bytes": int(size)} if request in peaks:
                memory[size] = max(peaks[request], memory.get(size, 0))
    return sorted(memory.items())


def _peaks(texts: Iterable[str]) -> dict[str, int]:
    """Return the maximum memory of each invocation, by its request id."""
    return {request: int(peak) for text in texts for request, peak in _REPORT.findall(text)}
