"""Peak memory of Lambda functions, from their logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.accounts import Accounts
from stacks.deployment import Names

_REPORT = re.compile(r"^REPORT RequestId: .*\tMax Memory Used: (\d+) MB", re.MULTILINE)


@dataclass(frozen=True)
class FunctionMemory:
    """The peak memory of a function over all its invocations. None if its log has none."""

    function: str
    account: str
    region: str
    peak_memory_mb: int | None


def measure(accounts: Accounts, names: Names) -> Iterator[FunctionMemory]:
    """Return the memory of the publish function and of each consume function."""
    consumers = [subscriber for subscriber in names.subscribers.values() if subscriber.has_consume_function]
    functions = [(names.publisher.publish_function, names.publisher.place)]
    functions += [(subscriber.consume_function, subscriber.place) for subscriber in consumers]
    for function, place in functions:
        logs = accounts.client("logs", account=place.account, region=place.region)
        yield FunctionMemory(function.name, place.account, place.region, peak_memory(logs, function.name))


def peak_memory(logs: Any, function_name: str) -> int | None:
    """Return the maximum of `Max Memory Used` in a function's REPORT lines, in MiB, or None if there is none.

    `logs` is a boto3 client of CloudWatch Logs.
    """
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function_name}")
    peaks = [int(peak) for page in pages for event in page["events"] for peak in _REPORT.findall(event["message"])]
    return max(peaks, default=None)
