"""The connections of one large payload that this process's share of a processor can serve.

More connections than the processor can serve cost it time for their TLS handshakes, and their threads wait for each
other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from claim_check.memory import MAXIMUM_CONNECTIONS

_FUNCTION_MB = 1769  # of a Lambda function with one processor; others have their share of it
_FEWEST = 2  # a second one receives while the first one's request is on its way
_READING = 8  # of one processor that is shared: two of a function with 512 MB receive as fast as its network
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container on Linux: microseconds in a period, or "max"


def processor_share(environment: Mapping[str, str], quota: Path = _QUOTA) -> float:
    """Return the share of a processor, at most 1: by the memory of a Lambda function, or the quota of a container."""
    share = 1.0
    with suppress(OSError, ValueError, ZeroDivisionError):
        if memory := environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"):
            share = int(memory) / _FUNCTION_MB
        else:
            allowed, period = map(int, quota.read_text().split())
            share = allowed / period
    return min(share, 1.0)


@cache
def share_here() -> float:
    """Return the share of this process."""
    return processor_share(os.environ)


def is_own_region(region: str) -> bool:
    """Return whether this process runs in a Region, by the variables of its environment, which Lambda and ECS set."""
    return region in (os.environ.get("AWS_REGION"), os.environ.get("AWS_DEFAULT_REGION"))


def publishing_connections(share: float) -> int:
    """Return the number of connections for a share of a processor: up to 16."""
    return max(int(MAXIMUM_CONNECTIONS * share), _FEWEST)


def reading_connections(share: float) -> int:
    """Return the number of connections for a share of a processor: 16 with all of it, fewer than 8 with a part."""
    return MAXIMUM_CONNECTIONS if share >= 1 else max(int(_READING * share), _FEWEST)
