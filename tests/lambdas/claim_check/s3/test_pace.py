"""The pace of a transfer: connections end if the processor is busy, and a slow one is given up."""

from __future__ import annotations

import time

import pytest

from claim_check.memory import MIB, PIECE_BYTES
from claim_check.s3 import pace as pace_module
from claim_check.s3.pace import Connections, Pace, Rates


class Processor:
    """A processor of which a transfer uses a share."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self.now, self.cpu = 100.0, 7.0

    def run(self, seconds: float, *, share: float) -> None:
        """Let pieces arrive for some time, in steps of a millisecond."""
        for _ in range(round(seconds * 1000)):
            self.now += 0.001
            self.cpu += 0.001 * share
            self._connections.received(now=self.now)


@pytest.fixture
def connections() -> Connections:
    return Connections(16)


@pytest.fixture
def processor(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> Processor:
    processor = Processor(connections)
    monkeypatch.setattr(time, "process_time", lambda: processor.cpu)
    return processor


def respond(connections: Connections, times: int = 16) -> None:
    for _ in range(times):
        connections.responded()


@pytest.mark.parametrize(("share", "number"), [(0, 16), (0.75, 16), (0.85, 12), (2, 12)])
def test_busy_processor_ends_a_quarter(
    share: float, number: int, connections: Connections, processor: Processor
) -> None:
    respond(connections)
    processor.run(0.050, share=share)
    assert connections.number == 16, "a window has 50 ms"
    processor.run(0.002, share=share)
    assert connections.number == number


def test_connections_end_down_to_six(connections: Connections, processor: Processor) -> None:
    respond(connections)
    numbers = []
    for _ in range(6):
        processor.run(0.053, share=1)
        numbers.append(connections.number)
    assert numbers == [12, 9, 6, 6, 6, 6]


def test_idle_processor_keeps_the_remaining_connections(connections: Connections, processor: Processor) -> None:
    respond(connections)
    processor.run(0.053, share=1)
    processor.run(5, share=0.7)
    assert connections.number == 12


@pytest.mark.parametrize(("responses", "number"), [(15, 16), (16, 12)])
def test_processor_is_busy_with_the_first_requests(
    responses: int, number: int, connections: Connections, processor: Processor
) -> None:
    respond(connections, responses)
    processor.run(0.053, share=1)
    assert connections.number == number


def test_few_connections_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = Connections(2)
    monkeypatch.setattr(time, "process_time", lambda: pytest.fail("not looked at"))
    respond(connections, 2)
    for now in range(9):
        connections.received(now=now)
    assert connections.number == 2


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
    windows: list[int], left: int, given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "WINDOW_SECONDS", 4)
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
def test_rate_of_a_part_is_of_its_time(size: int, seconds: float, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "WINDOW_SECONDS", 4)
    known = rates()
    pace = begun(known)
    pace.is_given_up(size, seconds, left=0)
    pace.end()
    assert list(known._ended) == [rate]


def test_silence_has_a_limit() -> None:
    assert not rates(*[40 * PIECE_BYTES] * 4).is_stalled(0.5), "twenty pieces of the others"
    assert rates(*[41 * PIECE_BYTES] * 4).is_stalled(0.5)
