"""The pace of a transfer: the number of connections that pay, and connections that are too slow."""

from __future__ import annotations

from collections import deque

from claim_check.memory import MIB, PIECE_BYTES

BEGIN_WITH = 4
WINDOW_SECONDS = 0.05
FAR_SECONDS = 0.1  # until the first byte: a distant Region, where a connection waits more than it carries
FAST_BYTES_PER_SECOND = 150 * MIB  # by four connections: a host with more network than one connection can use
FAST_SECONDS = 0.002
_PAYS = 1.2  # twice the connections must give that much more

_GROWS = 1.2  # from one window to the next
_SLOW = 0.4  # of the median of other connections
_MINIMUM_RATES = 4
STALL_SECONDS = 0.5
_STALLED_PIECES = 20  # that others have received meanwhile


class Network:
    """The network between this process and one Region, as earlier responses and transfers have shown it.

    `nearest` is the shortest time from a request to its response in seconds, or None. `connections` is the number that
    the last transfer ended with.
    """

    def __init__(self) -> None:
        self.nearest: float | None = None
        self.connections = BEGIN_WITH

    def responded(self, seconds: float) -> None:
        """Note the time from a request to its response."""
        self.nearest = seconds if self.nearest is None else min(seconds, self.nearest)

    @property
    def is_far(self) -> bool:
        """Whether a connection waits longer for a response than it needs for a part."""
        return self.nearest is not None and self.nearest >= FAR_SECONDS


class Growth:
    """The number of connections of a transfer: `connections`, up to `maximum`.

    It begins with four, or with as many as paid in the last transfer, and doubles while the rate grows. In a small
    Lambda function one connection fills the network, and more of them only cost processor time. A distant Region or a
    fast host needs all of them, at once. They end if they do not pay: the processor can be the limit.
    """

    def __init__(self, maximum: int, network: Network) -> None:
        self._maximum = maximum
        self._network = network
        self._begun: float | None = None
        self._not_before = 0.0
        self._since: float | None = None
        self._bytes = 0
        self._last_rate = 0.0
        self._before = BEGIN_WITH
        self.connections = min(network.connections, maximum)
        self._is_settled = self.connections == maximum
        self._look()

    def responded(self, *, now: float) -> None:
        """Note a response. `now` is in seconds of a monotonic clock."""
        if self._begun is None:
            self._begun, self._not_before = now, now + WINDOW_SECONDS / 2
        self._look()

    def received(self, size: int, *, now: float) -> None:
        """Note bytes that have arrived on any connection."""
        if self._is_settled or self._begun is None:
            return
        self._bytes += size
        if now < self._not_before:
            if self._is_fast(now - self._begun, pieces=8):
                self._add_all(self._bytes / (now - self._begun), now=now)
        elif self._since is None:
            # At an arrival: connections that share the network receive their pieces at the same time.
            self._since, self._bytes = now, 0
        elif self._is_fast(now - self._since, pieces=16):
            self._add_all(self._bytes / (now - self._since), now=now)
        elif now - self._since >= WINDOW_SECONDS and self._bytes >= 4 * self.connections * PIECE_BYTES:
            self._judge(self._bytes / (now - self._since), now=now)

    def _is_fast(self, seconds: float, *, pieces: int) -> bool:
        enough = max(pieces * PIECE_BYTES, FAST_BYTES_PER_SECOND * seconds)
        return self.connections < self._maximum and seconds >= FAST_SECONDS and self._bytes >= enough

    def _judge(self, rate: float, *, now: float) -> None:
        if rate < _PAYS * self._last_rate:
            self._settle(self._before)
        elif self.connections == self._maximum:
            self._settle(self._maximum)
        else:
            self._add(min(2 * self.connections, self._maximum), rate=rate, now=now)

    def _add_all(self, rate: float, *, now: float) -> None:
        self._network.connections = self._maximum  # the transfer can end before they are judged
        self._add(self._maximum, rate=rate, now=now)

    def _add(self, connections: int, *, rate: float, now: float) -> None:
        self._before, self._last_rate = self.connections, rate
        self.connections = connections
        self._begun, self._bytes = now, 0
        self._since, self._not_before = None, now + WINDOW_SECONDS  # new connections begin slowly

    def _look(self) -> None:
        if self._network.is_far and not self._is_settled:
            self.connections, self._is_settled = self._maximum, True

    def _settle(self, connections: int) -> None:
        self.connections = connections
        self._network.connections = max(connections, BEGIN_WITH)
        self._is_settled = True


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

    def forget(self) -> None:
        """Forget the rates: with more connections, each of them can have less."""
        self._ended.clear()

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

    A new connection begins slowly, so what counts is its rate in the last two windows, once it grows no more. A window
    of 25 ms, and 50 ms of work that is left, are the least: on a busy processor every connection stops for some
    milliseconds.
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
