"""A model of the network between a client and S3: rates, latencies, and connections that are slow or are reset."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

MB = 1_000_000
RECORD = 16_384  # bytes in a TLS record
STEP_SECONDS = 0.005  # a body passes in steps of about this duration, also in a dilated profile
SLACK_SECONDS = 0.05  # the lateness that a thread catches up within a body
WINDOW = 14_600  # bytes: TCP's first window, ten segments


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A place where a client runs. Rates are in bytes a second, times in seconds. `SOURCES` has the sources.

    `slow` is the share of connections with a fifth of the rate, and `drop` the share of those that are reset after 0.2
    to 8 MB. `processors` limits the client's CPU time. A run takes `dilation` times as long: see `dilated`.
    """

    title: str
    dilation: float = 1
    rate: float = inf
    host: float = inf
    round_trip: float = 0
    first_byte: float = 0
    slow: float = 0
    drop: float = 0
    processors: float = inf

    def dilated(self) -> Profile:
        """Return the profile with every time multiplied, and every rate divided, by `dilation`.

        Ratios of transfers stay the same. The processors of the measuring machine become negligible.
        """
        factor = self.dilation
        return replace(
            self,
            dilation=1,
            rate=self.rate / factor,
            host=self.host / factor,
            round_trip=self.round_trip * factor,
            first_byte=self.first_byte * factor,
            processors=self.processors / factor,
        )


_INSTANCE = Profile(
    title="EC2 instance with 10 Gbit/s, same Region",
    dilation=16,
    rate=90 * MB,
    host=1250 * MB,
    round_trip=0.001,
    first_byte=0.015,
)
_INSTANCE_FAR = replace(
    _INSTANCE,
    title="EC2 instance, store in another Region",
    dilation=8,
    rate=25 * MB,
    host=625 * MB,
    round_trip=0.070,
    first_byte=0.075,
)
_FUNCTION = replace(_INSTANCE, title="Lambda function of 1,769 MB, same Region", dilation=4, host=75 * MB, processors=1)

PROFILES = {
    "instance": _INSTANCE,
    "instance-far": _INSTANCE_FAR,
    "instance-slow": replace(_INSTANCE, title="EC2 instance, 20 % slow connections", slow=0.2),
    "instance-far-slow": replace(_INSTANCE_FAR, title="EC2 instance, another Region, 20 % slow connections", slow=0.2),
    "instance-drop": replace(_INSTANCE, title="EC2 instance, 20 % of connections reset", drop=0.2),
    "task": replace(_INSTANCE, title="Fargate task, same Region", dilation=8, host=312 * MB),
    "function": _FUNCTION,
    "function-512": replace(_FUNCTION, title="Lambda function of 512 MB, same Region", processors=512 / 1769),
    "function-far": replace(
        _INSTANCE_FAR,
        title="Lambda function of 1,769 MB, store in another Region",
        dilation=4,
        host=75 * MB,
        processors=1,
    ),
    "memory": Profile(title="no network: as fast as memory"),
}

SOURCES = {
    "90 MB/s a connection in a Region": 'S3 user guide, "Performance design patterns for Amazon S3": one request for '
    "each 85 to 90 MB/s, about 15 requests for 10 Gbit/s",
    "25 MB/s a connection across Regions": "assumption: a TCP window of 1.75 MB in a round trip of 70 ms",
    "round trips of 1 and 70 ms": "assumption; 70 ms is about the distance between the coasts of the USA",
    "first byte after 15 and 75 ms": 'assumption; the S3 user guide has "tens of milliseconds", and 100 to 200 ms for '
    "small objects",
    "1,250 MB/s an instance": "assumption: an instance with 10 Gbit/s",
    "625 MB/s to other Regions": 'EC2 user guide, "Amazon EC2 instance network bandwidth": 5 Gbit/s with fewer than 32 '
    "vCPUs",
    "312 MB/s a task": "assumption: 2.5 Gbit/s; AWS publishes no figure",
    "75 MB/s a function": "assumption: AWS publishes no figure; users have measured 400 to 700 Mbit/s",
    "processors of a function": 'Lambda developer guide, "Configure Lambda function memory": one vCPU at 1,769 MB, in '
    "proportion below. Assumption: one processor of the measuring machine is one vCPU",
    "slow start": "RFC 5681 and RFC 6928: a window of ten segments, doubled with each round trip",
    "slow and reset connections": "assumption",
}


class Clock(Protocol):
    """The part of the module `time` that the model needs."""

    def monotonic(self) -> float:
        """Return the time in seconds."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


class Meter:
    """Bytes that pass one after another at a rate. Unused time is lost after `slack` seconds."""

    def __init__(self, clock: Clock, *, slack: float = 0) -> None:
        self._clock = clock
        self._slack = slack
        self._free_at = 0.0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Forget all unused time."""
        self._free_at = max(self._free_at, self._clock.monotonic())

    def book(self, size: int, rate: float) -> float:
        """Return the time when `size` more bytes have passed."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock.monotonic() - self._slack) + size / rate
            return self._free_at


class Network:
    """The network of one client host. Equal seeds give the connections equal qualities, in their order."""

    def __init__(self, profile: Profile, *, seed: int = 0, clock: Clock = time) -> None:
        self.profile = profile.dilated()
        self.clock = clock
        self.host = Meter(clock)
        self.random = random.Random(seed)  # noqa: S311 - a simulation
        self.qualities = self._qualities()
        self._lock = threading.Lock()

    def connect(self) -> Connection:
        """Return a new connection after the handshakes of TCP and TLS: two round trips."""
        with self._lock:
            connection = Connection(self)
        self.clock.sleep(2 * self.profile.round_trip)
        return connection

    def _qualities(self) -> Iterator[float]:
        """Yield numbers from 0 to 1. Of each five, one is in each fifth, so that no client is lucky."""
        while True:
            fifths = [(fifth + self.random.random()) / 5 for fifth in range(5)]
            self.random.shuffle(fifths)
            yield from fifths


class Connection:
    """One connection. Its methods wait as long as the network would take."""

    def __init__(self, network: Network) -> None:
        profile, quality = network.profile, next(network.qualities)
        self._clock = network.clock
        self._profile = profile
        self._host = network.host
        self._meter = Meter(network.clock, slack=SLACK_SECONDS)
        self._rate = profile.rate / (5 if quality < profile.slow else 1)
        reset_after = network.random.uniform(0.2, 8) * MB
        self._reset_after = reset_after if quality < profile.drop else inf
        self._passed = 0

    def round_trip(self) -> None:
        """Wait for a round trip."""
        self._clock.sleep(self._profile.round_trip)

    def first_byte(self) -> None:
        """Wait for S3's processing of a request."""
        self._clock.sleep(self._profile.first_byte)

    def begin_body(self) -> None:
        """Begin a body, in either direction."""
        self._meter.begin()

    @property
    def rate(self) -> float:
        """The rate in bytes a second, now.

        The first window passes at once. The window doubles with each round trip, until the cap is reached.
        """
        if not self._doublings or not self._profile.round_trip:
            return self._rate
        return min(self._rate, (WINDOW << self._doublings) / self._profile.round_trip)

    @property
    def _doublings(self) -> int:
        return (1 + self._passed // WINDOW).bit_length() - 1

    def step(self) -> int:
        """Return the number of bytes for `carry`, in whole TLS records: at most the rest of the window."""
        size = min(self.rate * STEP_SECONDS, 1 << 20)
        if self._profile.round_trip:
            size = min(size, (WINDOW << self._doublings + 1) - WINDOW - self._passed)
        return RECORD * max(1, int(size // RECORD))

    def carry(self, size: int) -> None:
        """Wait until `size` more bytes have passed. Raises ConnectionResetError if the profile has it reset."""
        until = max(self._meter.book(size, self.rate), self._host.book(size, self._profile.host))
        self._passed += size
        if self._passed > self._reset_after:
            raise ConnectionResetError("the profile resets this connection")
        self._clock.sleep(max(0, until - self._clock.monotonic()))
