"""What a function's invocations used of memory, as its log tells anybody who may read it."""

from __future__ import annotations

import re
from typing import Any

_REPORT = re.compile(r"^REPORT RequestId: .*\tMax Memory Used: (\d+) MB", re.MULTILINE)


def peak_memory(logs: Any, function_name: str) -> int:
    """The largest `Max Memory Used` of a function's REPORT lines, in MB as Lambda counts (MiB).

    logs: a boto3 client for CloudWatch Logs. Raises LookupError when the function has not reported yet.
    """
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function_name}")
    peaks = [int(peak) for page in pages for event in page["events"] for peak in _REPORT.findall(event["message"])]
    if not peaks:
        raise LookupError(f"/aws/lambda/{function_name} holds no REPORT line: has {function_name} finished a run?")
    return max(peaks)
