"""The pace of a transfer: connections are added while that pays, and a slow one is given up."""

from __future__ import annotations

import pytest

from claim_check.memory import MIB, PIECE_BYTES
from claim_check.s3 import pace as pace_module
from claim_check.s3.pace import Growth, Network, Pace, Rates


class Link:
    """Gives at most `host` MiB/s to all connections, and `each` to one. Tells `Growth` about it."""

    def __init__(self, growth: Growth, *, host: float, each: float) -> None:
        self._growth, self._host, self._each = growth, host, each
        self._now = 100.0
        growth.responded(now=self._now)

    def run(self, seconds: float) -> None:
        """Deliver pieces for some time, in steps of a millisecond."""
        for _ in range(round(seconds * 1000)):
            self._now += 0.001
            rate = min(self._host, self._each * self._growth.connections)
            self._growth.received(round(rate * MIB / 1000), now=self._now)


def test_transfer_begins_with_four_connections() -> None:
    assert Growth(16, Network()).connections == 4
    assert Growth(3, Network()).connections == 3


def test_function_with_a_small_network_keeps_four() -> None:
    growth = Growth(16, Network())
    link = Link(growth, host=72, each=86)
    link.run(0.1)
    assert growth.connections == 8, "the first window has nothing to compare with"
    link.run(2)
    assert growth.connections == 4


@pytest.mark.parametrize("shift", [0, 0.007, 0.012, 0.02, 0.033, 0.045])
def test_pieces_of_one_arrival_do_not_look_faster(shift: float) -> None:
    """Connections that share a small network get their pieces at the same time."""
    growth, now = Growth(16, Network()), 100.0
    growth.responded(now=now)
    now += shift
    most = 0
    for _ in range(60):
        count = growth.connections
        now += count * PIECE_BYTES / (72 * MIB)
        for _ in range(count):
            growth.received(PIECE_BYTES, now=now)
        most = max(most, growth.connections)
    assert (most, growth.connections) == (8, 4)


def test_connections_double_while_the_rate_grows() -> None:
    growth = Growth(16, Network())
    link = Link(growth, host=1000, each=15)
    link.run(0.1)
    assert growth.connections == 8
    link.run(0.13)
    assert growth.connections == 16
    link.run(5)
    assert growth.connections == 16


def test_unprofitable_connections_end() -> None:
    growth = Growth(16, Network())
    link = Link(growth, host=130, each=18)
    link.run(0.25)
    assert growth.connections == 16
    link.run(2)
    assert growth.connections == 8


def test_fast_host_gets_all_connections_at_once() -> None:
    growth = Growth(16, Network())
    link = Link(growth, host=1200, each=86)
    link.run(0.005)
    assert growth.connections == 4
    link.run(0.001)
    assert growth.connections == 16, "2 MiB in 6 ms"


def test_connections_of_a_busy_processor_end() -> None:
    """Four of them seem fast, and sixteen give no more."""
    network = Network()
    growth = Growth(16, network)
    link = Link(growth, host=200, each=50)
    link.run(0.02)
    assert growth.connections == network.connections == 16
    link.run(0.2)
    assert growth.connections == network.connections == 4


def test_fast_host_is_noticed_after_a_slow_begin() -> None:
    growth = Growth(16, Network())
    Link(growth, host=50, each=50).run(0.03)
    assert growth.connections == 4
    for arrival in range(16):
        growth.received(PIECE_BYTES, now=100.031 + arrival / 1200)
    assert growth.connections == 16


@pytest.mark.parametrize(("seconds", "connections"), [(0.099, 4), (0.1, 16)])
def test_distant_region_gets_all_connections_at_once(seconds: float, connections: int) -> None:
    network = Network()
    growth = Growth(16, network)
    network.responded(seconds)
    growth.responded(now=0)
    assert growth.connections == Growth(16, network).connections == connections


def test_shortest_response_time_counts() -> None:
    network = Network()
    network.responded(0.5)
    assert Growth(16, network).connections == 16
    network.responded(0.02)
    network.responded(0.3)
    assert network.nearest == 0.02
    assert Growth(16, network).connections == 4


def test_next_transfer_begins_with_the_paying_connections() -> None:
    network = Network()
    Link(Growth(16, network), host=1200, each=86).run(0.1)
    assert Growth(16, network).connections == 16
    assert Growth(9, network).connections == 9
    Link(Growth(2, network), host=1200, each=86).run(0.1)
    assert Growth(16, network).connections == 16, "a small payload shows nothing"
    network = Network()
    Link(Growth(16, network), host=70, each=86).run(3)
    assert Growth(16, network).connections == 4


def test_settled_growth_stays() -> None:
    network = Network()
    growth = Growth(16, network)
    Link(growth, host=50, each=90).run(3)
    network.responded(1)
    growth.responded(now=200)
    assert growth.connections == 4


def rates(*values: float, limit: int = 9) -> Rates:
    """Return rates of parts that have ended."""
    found = Rates(limit)
    for value in values:
        found.end(Pace(found), value)
    return found


def test_slow_is_below_four_tenths_of_the_median() -> None:
    known = rates(100, 100, 100, 1)
    assert known.give_up(39)
    assert not known.give_up(40)
    assert not rates(100, 100, 100).give_up(1), "of three others nothing is known"


def test_number_of_connections_given_up_is_limited() -> None:
    known = rates(100, 100, 100, 100, limit=2)
    assert [known.give_up(rate) for rate in (50, 1, 1, 1)] == [False, True, True, False]


def test_connection_is_compared_with_the_present_rates() -> None:
    """A busy processor slows down all of them."""
    known = rates(*[100] * 9)
    present = [Pace(known) for _ in range(5)]
    for pace in present:
        known.note(pace, 20)
    assert not known.give_up(10), "of five present rates and the last four"
    for pace in present:
        known.end(pace, None)
    assert known.give_up(10), "of the last four"


def test_rates_of_fewer_connections_are_forgotten() -> None:
    known = rates(*[100] * 9)
    known.forget()
    assert not known.give_up(1)


def begun(known: Rates) -> Pace:
    """Return the pace of a connection whose first piece has arrived."""
    pace = Pace(known)
    assert not pace.is_given_up(PIECE_BYTES, 9, left=MIB), "the first piece waits for the response"
    return pace


def test_slow_connection_is_given_up_after_two_windows() -> None:
    pace = begun(rates(*[300 * PIECE_BYTES] * 4))
    for _ in range(3):
        assert not pace.is_given_up(PIECE_BYTES, 0.0125, left=100 * MIB)
    assert pace.is_given_up(PIECE_BYTES, 0.0125, left=100 * MIB)


def test_growing_connection_is_not_given_up() -> None:
    pace = begun(rates(*[1000 * PIECE_BYTES] * 4))
    for size in (2, 3, 4, 5):
        assert not pace.is_given_up(size * PIECE_BYTES, 0.1, left=100 * MIB)
    assert pace.is_given_up(5 * PIECE_BYTES, 0.1, left=100 * MIB)


def test_connection_with_little_left_is_not_given_up() -> None:
    pace = begun(rates(*[9 * MIB] * 4))
    pace.is_given_up(MIB, 1, left=MIB)
    assert not pace.is_given_up(MIB, 1, left=MIB // 20 - 1), "49 ms at this rate"
    assert pace.is_given_up(MIB, 1, left=MIB // 20 + 1)


def test_only_recent_windows_count() -> None:
    pace = begun(rates(*[10 * MIB] * 4))
    for size in (10, 10, 3):
        assert not pace.is_given_up(size * MIB, 1, left=10 * MIB), "6.5 MiB a second in the last two"
    assert pace.is_given_up(3 * MIB, 1, left=10 * MIB)


@pytest.mark.parametrize(("size", "seconds"), [(2, 1), (1, 0.01)], ids=["a window", "less than a window"])
def test_rate_of_a_received_part_is_noted(size: int, seconds: float) -> None:
    known = rates(*[1000 * PIECE_BYTES] * 3)
    assert not known.give_up(1)
    pace = begun(known)
    pace.end()
    assert not known.give_up(1), "one piece has no rate"
    pace.is_given_up(size * PIECE_BYTES, seconds, left=0)
    pace.end()
    assert known.give_up(1)
    for _ in range(9):
        pace.end()
    assert not known.give_up(45 * PIECE_BYTES), "by now most connections are as slow"


def test_silent_connection_is_stalled() -> None:
    known = rates(*[100 * PIECE_BYTES] * 4, limit=1)
    assert not known.is_stalled(0.49)
    assert known.is_stalled(0.5), "others have received 50 pieces"
    assert not known.is_stalled(9), "the limit"
    assert not rates(*[10 * PIECE_BYTES] * 4).is_stalled(1), "the others have received 10 pieces"
    assert not rates(*[100 * PIECE_BYTES] * 3).is_stalled(1)


@pytest.fixture
def whole_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of four seconds, to test their limits exactly. No host is fast."""
    monkeypatch.setattr(pace_module, "WINDOW_SECONDS", 4)
    monkeypatch.setattr(pace_module, "FAST_BYTES_PER_SECOND", 2**60)


@pytest.mark.parametrize(
    "arrivals",
    [
        # Second, bytes, and the connections afterwards. The first response is at second 10.
        [(12, PIECE_BYTES, 4), (16, 16 * PIECE_BYTES, 8)],
        [(12, PIECE_BYTES, 4), (16, 16 * PIECE_BYTES - 1, 4), (17, 1, 8)],
        [(12, PIECE_BYTES, 4), (15, 99 * PIECE_BYTES, 4), (16, 1, 8)],
        [(11, 99 * PIECE_BYTES, 4), (12, 1, 4), (16, 16 * PIECE_BYTES - 1, 4)],
    ],
    ids=["least", "a byte is missing", "a second is missing", "before the window"],
)
def test_window_has_limits(arrivals: list[tuple[int, int, int]], whole_seconds: None) -> None:
    growth = Growth(16, Network())
    growth.responded(now=10)
    for now, size, connections in arrivals:
        growth.received(size, now=now)
        assert growth.connections == connections


def test_second_window_begins_after_a_pause(whole_seconds: None) -> None:
    network = Network()
    growth = Growth(16, network)
    growth.responded(now=10)
    seen = []
    for now, pieces in [(12, 1), (16, 16), (19, 99), (20, 1), (23, 32), (24, 1), (28, 1), (32, 99)]:
        growth.received(pieces * PIECE_BYTES, now=now)
        seen.append(growth.connections)
    assert seen == [4, 8, 8, 8, 8, 16, 16, 16]
    growth.responded(now=33)
    growth.received(999 * PIECE_BYTES, now=40)
    assert network.connections == 16


def test_fast_host_needs_a_time_and_a_number_of_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "WINDOW_SECONDS", 8)
    monkeypatch.setattr(pace_module, "FAST_SECONDS", 2)
    monkeypatch.setattr(pace_module, "FAST_BYTES_PER_SECOND", 4 * PIECE_BYTES)
    for arrivals, connections in {
        ((1, 99),): 4,
        ((2, 8),): 16,
        ((2, 7),): 4,
        ((3, 11),): 4,
        ((3, 12),): 16,
        ((4, 1), (6, 15)): 4,
        ((4, 1), (6, 16)): 16,
        ((4, 1), (5, 16)): 4,
    }.items():
        growth = Growth(16, Network())
        growth.responded(now=0)
        for now, pieces in arrivals:
            growth.received(pieces * PIECE_BYTES, now=now)
        assert growth.connections == connections, arrivals


@pytest.mark.parametrize(
    ("windows", "left", "given_up"),
    [
        ([39, 40], 1000, True),
        ([40, 40], 1000, False),
        ([10, 12], 1000, True),
        ([10, 13], 1000, False),
        ([30, 30], 120, True),
        ([30, 30], 119, False),
    ],
    ids=["below", "not below", "grew by a fifth", "grows", "enough left", "little left"],
)
def test_connection_is_given_up_below_limits(
    windows: list[int], left: int, given_up: bool, whole_seconds: None
) -> None:
    known = rates(100, 100, 100, 100)
    pace = begun(known)
    first, second = windows
    assert not pace.is_given_up(2 * first, 2, left=left)
    assert known._present == {pace: first}
    assert pace.is_given_up(2 * second, 2, left=left) is given_up
    pace.end()
    assert known._present == {}
    assert list(known._ended) == [100, 100, 100, 100 if given_up else (first + second) / 2]


@pytest.mark.parametrize(("size", "seconds", "rate"), [(78, 2, 39), (20, 0.5, 40)])
def test_rate_of_a_part_is_of_its_time(size: int, seconds: float, rate: float, whole_seconds: None) -> None:
    known = rates()
    pace = begun(known)
    pace.is_given_up(size, seconds, left=0)
    pace.end()
    assert list(known._ended) == [rate]


def test_silence_has_a_limit() -> None:
    assert not rates(*[40 * PIECE_BYTES] * 4).is_stalled(0.5), "twenty pieces of the others"
    assert rates(*[41 * PIECE_BYTES] * 4).is_stalled(0.5)
