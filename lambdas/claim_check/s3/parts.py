"""The parts of an object that are read at the same time, each by a ranged GET."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import NamedTuple

from claim_check.memory import MIB, PIECE_BYTES

_SMALLEST_PART_BYTES = MIB


class Piece(NamedTuple):
    """Bytes of an object that have arrived: `size` bytes at `offset`. `view` is empty if they are in a target."""

    offset: int
    size: int
    view: memoryview


class Part:
    """A range of an object. `received` counts its bytes that have arrived, and `pieces` are those not used yet."""

    def __init__(self, first: int, size: int) -> None:
        self.first = first
        self.size = size
        self.received = 0
        self.pieces: deque[Piece] = deque()

    @property
    def offset(self) -> int:
        """The offset in the object of the next byte to receive."""
        return self.first + self.received

    @property
    def missing(self) -> int:
        """The number of bytes to receive."""
        return self.size - self.received


def parts_for_target(size: int, *, connections: int, smallest: int, largest: int) -> Iterator[Part]:
    """Yield parts that can arrive in any order: one for each connection, within the limits."""
    return _parts(size, repeat(min(max(_whole_pieces(size, connections), smallest), largest)))


def parts_in_order(size: int, *, connections: int, largest: int, memory: int) -> Iterator[Part]:
    """Yield parts whose bytes are used in order, for `connections` that end at the same time.

    Parts of one length that begin together also end together, and all of them wait in memory for the first one. With
    less memory than that, the lengths of the first parts grow from one connection to the next, so that their ends are
    spread. The last parts compensate for it. Half of the memory is enough then.
    """
    rounds = -(-size // (connections * largest))
    length = max(_SMALLEST_PART_BYTES, _whole_pieces(size, connections * rounds))
    least = min(1.0, max(0.0, 2 * memory / (connections * length) - 1))
    first = [_first_length(length, least + (1 - least) * place / connections) for place in range(1, connections + 1)]
    last = [length - begun for begun in first if begun < length]
    return _parts(size, chain(first, repeat(length, connections * (rounds - 1)), last))


def _first_length(length: int, share: float) -> int:
    shorter = max(_SMALLEST_PART_BYTES, int(length * share) // PIECE_BYTES * PIECE_BYTES)
    return shorter if length - shorter >= _SMALLEST_PART_BYTES else length


def _whole_pieces(size: int, count: int) -> int:
    """Return the length of `count` parts of equal length, rounded up to whole pieces."""
    return -(-size // (count * PIECE_BYTES)) * PIECE_BYTES


def _parts(size: int, lengths: Iterable[int]) -> Iterator[Part]:
    # One by one: the size is a sender's, which can be wrong, and a part needs a kilobyte.
    offset = 0
    for length in lengths:
        if offset >= size:
            return
        yield Part(offset, min(length, size - offset))
        offset += length
