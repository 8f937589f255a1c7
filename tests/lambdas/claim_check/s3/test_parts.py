"""Parts of an object: each byte once, and no more in memory than the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claim_check.memory import MIB, PIECE_BYTES, Memory
from claim_check.s3.parts import Part, parts_for_target, parts_in_order

SIZES = st.integers(1, 300 * MIB)
LIMITS = st.integers(MIB, 64 * MIB)


def assert_each_byte_once(parts: list[Part], size: int) -> None:
    assert parts[0].first == 0
    assert all(part.first + part.size == following.first for part, following in pairwise(parts))
    assert parts[-1].first + parts[-1].size == size
    assert all(part.size > 0 for part in parts)


@given(SIZES, LIMITS, st.integers(1, 16))
def test_parts_in_order_have_each_byte_once(size: int, limit: int, most: int) -> None:
    memory = Memory(limit)
    connections = min(memory.connections, most)
    largest = memory.part_bytes(connections)
    parts = list(parts_in_order(size, connections=connections, largest=largest, memory=memory.limit))
    assert_each_byte_once(parts, size)
    assert max(part.size for part in parts) <= largest
    assert all(part.size >= MIB for part in parts[:-1])
    assert len(parts) <= size // MIB + 1


@given(SIZES, st.integers(1, 16))
def test_parts_for_target_have_each_byte_once(size: int, connections: int) -> None:
    parts = list(parts_for_target(size, connections=connections, smallest=2 * MIB, largest=16 * MIB))
    assert_each_byte_once(parts, size)
    assert all(2 * MIB <= part.size <= 16 * MIB for part in parts[:-1])


@pytest.mark.parametrize(("size", "count"), [(8 * MIB, 4), (64 * MIB, 16), (1024 * MIB, 64)])
def test_each_connection_gets_a_part_of_a_target(size: int, count: int) -> None:
    parts = parts_for_target(size, connections=16, smallest=2 * MIB, largest=16 * MIB)
    assert len(list(parts)) == count


def test_first_parts_grow_and_the_last_compensate() -> None:
    parts = list(parts_in_order(128 * MIB, connections=16, largest=4 * MIB, memory=40 * MIB))
    sizes = [part.size / MIB for part in parts]
    assert sizes[:16] == sorted(sizes[:16])
    assert (sizes[0], sizes[15]) == (1.0, 4.0)
    assert 3.0 in sizes, "a MiB is left for its last part"
    assert set(sizes[16:32]) == {4.0}
    rest = [4 - first for first in sizes if first < 4]
    assert sizes[32:] == rest[: len(sizes) - 32]
    assert all(part.size % PIECE_BYTES == 0 for part in parts)


def test_parts_have_one_length_if_the_memory_holds_all() -> None:
    parts = list(parts_in_order(64 * MIB, connections=16, largest=4 * MIB, memory=64 * MIB))
    assert {part.size for part in parts} == {4 * MIB}


@pytest.mark.parametrize(
    "parts",
    [
        partial(parts_for_target, connections=16, smallest=2 * MIB, largest=16 * MIB),
        partial(parts_in_order, connections=16, largest=4 * MIB, memory=40 * MIB),
    ],
    ids=["target", "in order"],
)
def test_parts_of_a_hostile_size_are_made_one_by_one(parts: Callable[[int], Iterator[Part]]) -> None:
    assert next(parts(10**18 - 1)).first == 0


def test_part_counts_its_bytes() -> None:
    part = Part(100, 50)
    assert (part.offset, part.missing) == (100, 50)
    part.received += 20
    assert (part.offset, part.missing) == (120, 30)
