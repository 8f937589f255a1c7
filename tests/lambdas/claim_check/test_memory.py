"""The memory limit: what follows from it, and that no transfer waits for another one."""

from __future__ import annotations

from typing import Any

import pytest

from claim_check.memory import MIB, PIECE_BYTES, RESERVE_BYTES, Memory


@pytest.mark.parametrize(
    ("limit", "connections", "part"),
    [
        (MIB, 1, 2),
        (5 * MIB // 2, 2, 2),
        (10 * MIB, 8, 2),
        (20 * MIB, 16, 2),
        (30 * MIB, 16, 3),
        (40 * MIB, 16, 4),
        (400 * MIB, 16, 4),
    ],
)
def test_parts_shrink_first_and_then_connections(limit: int, connections: int, part: int) -> None:
    memory = Memory(limit)
    assert (memory.connections, memory.part_bytes) == (connections, part * MIB)


def test_default_allows_sixteen_connections() -> None:
    assert (Memory().limit, Memory().connections) == (40 * MIB, 16)


@pytest.mark.parametrize("limit", [MIB - 1, 0, -1, True, 4e7, "40", None])
def test_invalid_limit_is_rejected(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"^memory = .*: must be an integer of at least 1048576 bytes$"):
        Memory(limit)


def test_shares_hold_the_limit_together() -> None:
    memory = Memory(2 * MIB)
    one, two = memory.share(), memory.share()
    assert one.take(MIB, needed_next=False)
    assert two.take(MIB, needed_next=False)
    assert memory.held == 2 * MIB
    assert not one.take(1, needed_next=False)
    two.give_back(1)
    assert one.take(1, needed_next=False)
    assert (one.held, two.held) == (MIB + 1, MIB - 1)


def test_needed_bytes_are_held_beyond_the_limit() -> None:
    memory = Memory(MIB)
    idle, active = memory.share(), memory.share()
    assert idle.take(MIB, needed_next=False)
    pieces = 0
    while active.take(PIECE_BYTES, needed_next=True):
        pieces += 1
    assert pieces * PIECE_BYTES == RESERVE_BYTES == MIB
    active.give_back(PIECE_BYTES)
    assert active.take(PIECE_BYTES, needed_next=True), "what is used makes space for what is needed next"
    assert not active.take(PIECE_BYTES, needed_next=True)


def test_one_large_part_is_held_beyond_the_limit() -> None:
    memory = Memory(MIB)
    share, other = memory.share(), memory.share()
    assert share.take(5 * MIB, needed_next=True)
    assert not share.take(5 * MIB, needed_next=True)
    assert other.take(5 * MIB, needed_next=True)
    share.give_back(5 * MIB)
    assert share.take(5 * MIB, needed_next=True)


def test_bytes_beyond_the_limit_are_given_back_first() -> None:
    memory = Memory(MIB)
    share = memory.share()
    assert share.take(MIB, needed_next=False)
    assert share.take(MIB, needed_next=True)
    share.give_back(MIB)
    assert share.take(MIB, needed_next=True)
    assert not share.take(1, needed_next=True)


def test_closed_share_holds_nothing() -> None:
    memory = Memory(MIB)
    with memory.share() as share:
        assert share.take(MIB, needed_next=False)
    assert (memory.held, share.held) == (0, 0)
