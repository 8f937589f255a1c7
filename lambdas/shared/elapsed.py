"""How long something took, for the metrics."""

import time
from datetime import datetime


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def milliseconds(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


def milliseconds_since(moment: datetime) -> int:
    """From a moment of another machine's clock, which may be a little ahead of ours, until now."""
    return max(0, round((datetime.now(tz=moment.tzinfo) - moment).total_seconds() * 1000))
