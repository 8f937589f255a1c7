"""The pace of a transfer: connections are added while that pays, and a slow one is given up."""

from __future__ import annotations

import pytest

from claim_check.memory import MIB
from claim_check.s3.pace import Growth, Pace, Rates


class Network:
    """Gives at most `host` MiB/s to all connections, and `each` to one. Tells `Growth` about it."""

    def __init__(self, growth: Growth, *, host: float, each: float) -> None:
        self._growth, self._host, self._each = growth, host, each
        self._now = 100.0

    def run(self, seconds: float) -> None:
        """Deliver pieces for some time, in steps of a millisecond."""
        for _ in range(round(seconds * 1000)):
            self._now += 0.001
            rate = min(self._host, self._each * self._growth.connections)
            self._growth.received(round(rate * MIB / 1000), now=self._now)


def test_transfer_begins_with_four_connections() -> None:
    assert Growth(16).connections == 4
    assert Growth(3).connections == 3


def test_function_with_a_small_network_keeps_four() -> None:
    growth = Growth(16)
    network = Network(growth, host=72, each=86)
    network.run(0.06)
    assert growth.connections == 8, "the first window has nothing to compare with"
    network.run(2)
    assert growth.connections == 4


def test_connections_double_while_the_rate_grows() -> None:
    growth = Growth(16)
    network = Network(growth, host=1000, each=8)
    network.run(0.1)
    assert growth.connections == 8
    network.run(0.15)
    assert growth.connections == 16
    network.run(5)
    assert growth.connections == 16


def test_connections_that_do_not_pay_end() -> None:
    growth = Growth(16)
    network = Network(growth, host=70, each=9)
    network.run(0.3)
    assert growth.connections == 16
    network.run(2)
    assert growth.connections == 8


def test_fast_host_gets_all_connections_at_once() -> None:
    growth = Growth(16)
    Network(growth, host=1200, each=86).run(0.012)
    assert growth.connections == 16


def test_fast_burst_of_two_pieces_is_not_a_fast_host() -> None:
    growth = Growth(16)
    Network(growth, host=180, each=1000).run(0.007)
    assert growth.connections == 4


@pytest.mark.parametrize(("seconds", "connections"), [(0.099, 4), (0.1, 16)])
def test_distant_region_gets_all_connections_at_once(seconds: float, connections: int) -> None:
    growth = Growth(16)
    growth.responded(seconds)
    assert growth.connections == connections


def test_settled_growth_stays() -> None:
    growth = Growth(16)
    Network(growth, host=50, each=90).run(3)
    growth.responded(1)
    assert growth.connections == 4


def rates(*values: float, limit: int = 9) -> Rates:
    found = Rates(limit)
    for value in values:
        found.add(value)
    return found


def test_slow_is_below_four_tenths_of_the_median() -> None:
    known = rates(100, 100, 100, 1)
    assert known.is_slow(39)
    assert not known.is_slow(40)
    assert not rates(100, 100, 100).is_slow(1), "of three others nothing is known"


def test_number_of_connections_given_up_is_limited() -> None:
    known = rates(100, 100, 100, 100, limit=2)
    assert [known.give_up(rate) for rate in (50, 1, 1, 1)] == [False, True, True, False]


def test_slow_connection_is_given_up_after_its_window() -> None:
    pace = Pace(rates(100, 100, 100, 100))
    assert not pace.is_given_up(1, 9, left=1000), "the first piece waits for the response"
    assert not pace.is_given_up(1, 0.04, left=1000)
    assert pace.is_given_up(1, 0.02, left=1000)


def test_connection_with_little_left_is_not_given_up() -> None:
    pace = Pace(rates(*[9000] * 4))
    pace.is_given_up(1, 1, left=1000)
    assert not pace.is_given_up(1000, 1, left=49), "49 ms at this rate"
    assert pace.is_given_up(1000, 1, left=50)


def test_only_recent_bytes_count() -> None:
    pace = Pace(rates(100, 100, 100, 100))
    pace.is_given_up(1, 1, left=1000)
    assert not pace.is_given_up(100, 1, left=1000)
    assert pace.is_given_up(10, 1, left=1000)


def test_rate_of_a_whole_part_is_compared_and_noted() -> None:
    known = rates(100, 100, 100, 100)
    slow, fast = Pace(known), Pace(known)
    for pace, size in ((slow, 1), (fast, 100)):
        assert not pace.is_slow(), "one piece has no rate"
        pace.is_given_up(1, 1, left=0)
        pace.is_given_up(size, 1, left=0)
    assert slow.is_slow()
    assert not fast.is_slow()
    for _ in range(9):
        slow.is_slow()
    assert not slow.is_slow(), "by now most connections are as slow"
