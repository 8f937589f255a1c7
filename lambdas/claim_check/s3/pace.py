"""The pace of a transfer: connections that the processor cannot serve, and connections that are too slow."""

from __future__ import annotations

import time
from collections import deque

from claim_check.memory import PIECE_BYTES

WINDOW_SECONDS = 0.05
_FEWEST = 6
_BUSY = 0.8  # of a processor: Python uses one at a time

_GROWS = 1.2  # from one window to the next
_SLOW = 0.4  # of the median of other connections
_MINIMUM_RATES = 4
STALL_SECONDS = 0.5
_STALLED_PIECES = 20  # that others have received meanwhile


class Connections:
    """The number of connections of a transfer.

    All of them begin at once. The network's limit shows too late in most transfers, and superfluous connections cost
    little. If they keep the processor busy, a quarter of them ends, again and again, down to six. The threads of more
    connections would only wait for each other.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._silent = number
        self._since: float | None = None
        self._cpu = 0.0

    def responded(self) -> None:
        """Note a response. Before each connection has one, the processor is busy with the requests."""
        self._silent -= 1

    def received(self, *, now: float) -> None:
        """Note an arrival. `now` is in seconds of a monotonic clock."""
        if self._silent > 0 or self.number <= _FEWEST:
            return
        if self._since is None:
            self._since, self._cpu = now, time.process_time()
        elif (seconds := now - self._since) >= WINDOW_SECONDS:
            if time.process_time() - self._cpu >= _BUSY * seconds:
                self.number = max(_FEWEST, self.number * 3 // 4)
            self._since = None


class Rates:
    """The rates of a transfer's connections, in bytes per second, to find one that is far below the others.

    The present rates count, with the last ones of a few parts that have ended: a busy processor slows down all
    connections. At most `limit` connections are given up.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._present: dict[Pace, float] = {}
        self._ended: deque[float] = deque(maxlen=_MINIMUM_RATES)

    def note(self, pace: Pace, rate: float) -> None:
        """Note the present rate of a connection."""
        self._present[pace] = rate

    def end(self, pace: Pace, rate: float | None) -> None:
        """Note the last rate of a connection that has received its part. None if it was given up."""
        self._present.pop(pace, None)
        if rate is not None:
            self._ended.append(rate)

    def give_up(self, rate: float) -> bool:
        """Return whether a connection is far below the others, and count it."""
        if not self._limit or rate >= _SLOW * self._median:
            return False
        self._limit -= 1
        return True

    def is_stalled(self, seconds: float) -> bool:
        """Return whether a connection is silent, which has received no piece for some time. Counts it as given up."""
        if seconds < STALL_SECONDS:
            return False
        return seconds * self._median > _STALLED_PIECES * PIECE_BYTES and self.give_up(0)

    @property
    def _median(self) -> float:
        rates = sorted([*self._present.values(), *self._ended])
        return rates[len(rates) // 2] if len(rates) >= _MINIMUM_RATES else 0


class Pace:
    """The rate of one connection while it receives a part.

    A new connection begins slowly. So its rate is that of the last two windows, when it no longer grows. A window has
    at least 25 ms, and the remaining work 50 ms: on a busy processor every connection pauses for some milliseconds.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._has_begun = False
        self._size = 0
        self._seconds = 0.0
        self._last = 0.0
        self._rate: float | None = None

    def is_given_up(self, size: int, seconds: float, *, left: int) -> bool:
        """Note `size` bytes that took `seconds`. Return whether another connection would receive the rest earlier."""
        if not self._has_begun:  # the first piece has waited for the response
            self._has_begun = True
            return False
        self._size, self._seconds = self._size + size, self._seconds + seconds
        if self._seconds < WINDOW_SECONDS / 2:
            return False
        rate, last = self._size / self._seconds, self._last
        self._size, self._seconds, self._last = 0, 0.0, rate
        self._rate = (rate + last) / 2 if last else rate
        self._rates.note(self, self._rate)
        is_growing = rate > _GROWS * last
        if is_growing or left < self._rate * WINDOW_SECONDS or not self._rates.give_up(self._rate):
            return False
        self._rate, self._size, self._seconds = None, 0, 0.0
        return True

    def end(self) -> None:
        """Note that the connection has ended, or has received its part."""
        self._rates.end(self, self._rate or (self._size / self._seconds if self._seconds else None))
