"""The memory limit: what follows from it, and that no transfer waits for another one."""

from __future__ import annotations

import pickle
from threading import Thread
from typing import Any

import pytest

from claim_check.memory import MIB, PIECE_BYTES, RESERVE_BYTES, Memory, Share


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
    assert (memory.connections, memory.part_bytes(memory.connections)) == (connections, part * MIB)


@pytest.mark.parametrize(("connections", "part"), [(1, 16), (2, 16), (4, 16), (8, 8), (16, 4)])
def test_fewer_connections_have_larger_parts(connections: int, part: int) -> None:
    assert Memory().part_bytes(connections) == part * MIB


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


def test_collected_iterator_closes_its_share_within_any_call() -> None:
    memory = Memory(MIB)

    class Collected(Share):
        """A share that is collected while the shares are counted."""

        held = property(lambda self: self.close() or 0, lambda *_: None)

    memory._shares |= {Collected(memory), memory.share(), Collected(memory)}
    taken: list[bool] = []
    thread = Thread(target=lambda: taken.append(memory.share().take(MIB, needed_next=False)), daemon=True)
    thread.start()
    thread.join(5)
    assert taken == [True]
    assert len(memory._shares) == 2


@pytest.mark.parametrize(("limit", "whole"), [(MIB + 1, MIB // 2), (10 * MIB, 5 * MIB), (40 * MIB, 8 * MIB)])
def test_small_payloads_need_half_of_the_limit_at_most(limit: int, whole: int) -> None:
    assert Memory(limit).whole_bytes == whole
    assert isinstance(Memory(limit).whole_bytes, int)


def test_buffers_are_used_again() -> None:
    memory = Memory(2 * MIB)
    share = memory.share()
    pieces = [share.buffer(needed_next=False) for _ in range(8)]
    assert all(piece is not None and len(piece) == PIECE_BYTES for piece in pieces)
    assert share.buffer(needed_next=False) is None
    first = pieces[0]
    assert first is not None
    share.recycle(first[:5])
    assert share.held == 2 * MIB - PIECE_BYTES
    again = share.buffer(needed_next=False)
    assert again is not None
    assert again.obj is first.obj
    assert len(again) == PIECE_BYTES


def test_spare_buffers_count_towards_the_limit() -> None:
    memory = Memory(2 * MIB)
    one, two = memory.share(), memory.share()
    pieces = [one.buffer(needed_next=False) for _ in range(8)]
    for piece in pieces:
        assert piece
        one.recycle(piece)
    assert len(memory._buffers) == 8
    assert two.take(MIB, needed_next=False)
    assert len(memory._buffers) == 4
    one.close()
    assert len(memory._buffers) == 4, "the other transfer can use them"
    two.close()
    assert memory._buffers == []


def test_another_process_has_its_own_memory() -> None:
    memory = Memory(3 * MIB)
    memory.share().take(MIB, needed_next=False)
    copy = pickle.loads(pickle.dumps(memory))
    assert (copy.limit, copy.held, memory.held) == (3 * MIB, 0, MIB)
