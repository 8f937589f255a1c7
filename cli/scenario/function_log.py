"""Log lines of functions in CloudWatch Logs."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any


def log_lines(logs: Any, function_name: str, since: datetime | None = None) -> Iterator[str]:
    """Yield a function's log lines since a time, or a second earlier: clocks of AWS's services differ by less.

    `logs` is a boto3 client of CloudWatch Logs.
    """
    start = {"startTime": int(1000 * (since.timestamp() - 1))} if since else {}
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function_name}", **start):
        yield from (event["message"] for event in page["events"])


def logged_at(entry: Mapping[str, Any]) -> datetime:
    """Return the time of an entry, as Powertools writes it."""
    return datetime.strptime(entry["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z")


def as_json(text: str) -> Any:
    """Return the value of JSON, or None for another text."""
    try:
        return json.loads(text)
    except ValueError:
        return None
