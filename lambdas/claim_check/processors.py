"""The connections of one large payload that this process's share of a processor can serve."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from claim_check.memory import MAXIMUM_CONNECTIONS

_FUNCTION_MB = 1769  # of a Lambda function with one processor; others have their share of it
_FEWEST = 2  # a second one receives while the first one's request is on its way
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container on Linux: microseconds in a period, or "max"


def connections_for(environment: Mapping[str, str], quota: Path = _QUOTA) -> int:
    """Return the number of connections: 16 with one processor or more, fewer with a part of one.

    More connections than the processor can serve cost it time for their TLS handshakes, and their threads wait for
    each other. The processor's share is known from the memory of a Lambda function, or the quota of a container.
    """
    share = 1.0
    with suppress(OSError, ValueError, ZeroDivisionError):
        if memory := environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"):
            share = int(memory) / _FUNCTION_MB
        else:
            allowed, period = map(int, quota.read_text().split())
            share = allowed / period
    return min(max(int(MAXIMUM_CONNECTIONS * share), _FEWEST), MAXIMUM_CONNECTIONS)


@cache
def connections_here() -> int:
    """Return the number of connections in this process."""
    return connections_for(os.environ)
