"""The network model, on a clock that only its own waits move."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest

from bench.network import MB, PROFILES, SOURCES, WINDOW, Connection, Network, Profile


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


def profile(**figures: float) -> Profile:
    return replace(Profile(title="test"), **figures)  # type: ignore[arg-type]


def transfer(connection: Connection, size: int) -> None:
    connection.begin_body()
    while size:
        step = min(size, connection.step())
        connection.carry(step)
        size -= step


def seconds(network: Network, clock: FakeClock, size: int) -> float:
    connection = network.connect()
    begin = clock.now
    transfer(connection, size)
    return clock.now - begin


def network(clock: FakeClock, **figures: float) -> Network:
    return Network(profile(**figures), clock=clock)


def test_connection_reaches_its_rate() -> None:
    clock = FakeClock()
    assert seconds(network(clock, rate=90 * MB), clock, 90 * MB) == pytest.approx(1)


def test_connection_takes_no_time_without_limits() -> None:
    clock = FakeClock()
    assert seconds(network(clock), clock, 90 * MB) == 0


def test_window_doubles_with_each_round_trip() -> None:
    clock = FakeClock()
    connection = network(clock, rate=25 * MB, round_trip=0.07).connect()
    connection.begin_body()
    arrived = []
    for doublings in range(5):
        connection.carry(WINDOW << doublings)
        arrived.append(clock.now)
    gaps = [after - before for before, after in pairwise(arrived)]
    assert gaps == pytest.approx([0.07] * 4, rel=0.01)


def test_slow_start_is_paid_once_for_each_connection() -> None:
    clock = FakeClock()
    connection = network(clock, rate=25 * MB, round_trip=0.07).connect()
    transfer(connection, 4 * MB)
    begin = clock.now
    transfer(connection, 25 * MB)
    assert clock.now - begin == pytest.approx(1)


def test_idle_time_is_not_caught_up() -> None:
    clock = FakeClock()
    connection = network(clock, rate=90 * MB).connect()
    transfer(connection, 9 * MB)
    clock.now += 60
    begin = clock.now
    transfer(connection, 9 * MB)
    assert clock.now - begin == pytest.approx(0.1)


def test_late_thread_catches_up() -> None:
    clock = FakeClock()
    connection = network(clock, rate=90 * MB).connect()
    begin = clock.now
    connection.begin_body()
    for _ in range(100):
        connection.carry(450_000)
        clock.now += 0.001
    assert clock.now - begin == pytest.approx(0.5, rel=0.01)


def test_host_limits_all_connections_together() -> None:
    clock = FakeClock()
    host = network(clock, rate=90 * MB, host=75 * MB)
    first, second = host.connect(), host.connect()
    begin = clock.now
    for _ in range(75):
        first.carry(MB)
        second.carry(MB)
    assert clock.now - begin == pytest.approx(2, rel=0.01)


def test_two_connections_double_the_rate_below_the_limit() -> None:
    clock = FakeClock()
    host = network(clock, rate=90 * MB, host=1250 * MB)
    lines = [host.connect() for _ in range(2)]
    begin = clock.now
    for line in lines:
        line.begin_body()
    for _ in range(90):
        for line in lines:
            line.carry(MB)
    assert clock.now - begin == pytest.approx(1, rel=0.02)


def test_handshake_and_latencies_take_their_time() -> None:
    clock = FakeClock()
    connection = network(clock, round_trip=0.07, first_byte=0.075).connect()
    assert clock.now == pytest.approx(100.14)
    connection.round_trip()
    connection.first_byte()
    assert clock.now == pytest.approx(100.285)


@pytest.mark.parametrize(("share", "slow"), [(0, 0), (0.2, 1), (1, 5)])
def test_share_of_every_five_connections_is_slow(share: float, slow: int) -> None:
    host = network(FakeClock(), rate=90 * MB, slow=share)
    for _ in range(20):
        rates = [host.connect().rate for _ in range(5)]
        assert sorted(rates) == [18 * MB] * slow + [90 * MB] * (5 - slow)


def test_connection_is_reset_within_8_mb() -> None:
    host = network(FakeClock(), drop=1)
    for _ in range(20):
        with pytest.raises(ConnectionResetError):
            transfer(host.connect(), 9 * MB)


def test_no_connection_is_reset_by_default() -> None:
    transfer(network(FakeClock()).connect(), 1000 * MB)


def test_equal_seeds_give_equal_connections() -> None:
    def rates(seed: int) -> list[float]:
        host = Network(profile(rate=90, slow=0.5), seed=seed, clock=FakeClock())
        return [host.connect().rate for _ in range(50)]

    assert rates(1) == rates(1) != rates(2)


@pytest.mark.parametrize("name", [name for name, profile in PROFILES.items() if profile.dilation > 1])
def test_dilation_multiplies_every_time(name: str) -> None:
    def duration(profile: Profile) -> float:
        clock = FakeClock()
        connection = Network(profile, clock=clock).connect()
        connection.round_trip()
        connection.first_byte()
        transfer(connection, 150_000)
        return clock.now - 100

    slowed = PROFILES[name]
    assert duration(slowed) == pytest.approx(slowed.dilation * duration(replace(slowed, dilation=1)), rel=0.02)


def test_dilation_divides_the_processors() -> None:
    assert profile(dilation=4, processors=1).dilated().processors == 0.25


def test_sources_name_every_rate_of_the_profiles() -> None:
    text = " ".join(SOURCES)
    rates = {figure / MB for profile in PROFILES.values() for figure in (profile.rate, profile.host) if figure < inf}
    assert [rate for rate in rates if f"{rate:,.0f} MB/s" not in text] == []
