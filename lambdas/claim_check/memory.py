"""The memory limit that all transfers of one Publisher or Dereferencer share."""

from __future__ import annotations

import mmap
import sys
from threading import RLock
from typing import Any, Self

from claim_check.fork import call_after_fork

MIB = 1024 * 1024

DEFAULT_MEMORY_BYTES = 40 * MIB
MINIMUM_MEMORY_BYTES = MIB
MAXIMUM_CONNECTIONS = 16
PIECE_BYTES = 256 * 1024  # the unit in which a connection's bytes are buffered
RESERVE_BYTES = 4 * PIECE_BYTES

_WHOLE_BYTES = 8 * MIB
_LARGEST_PART_BYTES = 16 * MIB
_ALL_PARTS_BYTES = 64 * MIB
_SMALLEST_PART_BYTES = 2 * MIB


_options: Any = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE}


def new_buffer(size: int) -> memoryview:
    """Return a buffer that the system gets back when it is no longer used.

    It is mapped memory. Memory that one thread allocates and another one frees would be scattered over the allocator's
    arenas.
    """
    return memoryview(mmap.mmap(-1, size, **_options))


class Memory:
    """A limit of the bytes that transfers buffer at a time.

    `connections` and `part_bytes` of one transfer follow from `limit`. Parts that arrive at the same time and are used
    in order need about 5/8 of their size. 16 connections have parts of 4 MiB. Below 40 MiB the parts shrink, to 2 MiB.
    Below 20 MiB there are fewer connections. A payload of less than `whole_bytes` is held as a whole.

    Raises ValueError if `limit` is not an integer of at least 1 MiB.
    """

    def __init__(self, limit: int = DEFAULT_MEMORY_BYTES) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < MINIMUM_MEMORY_BYTES:
            raise ValueError(f"memory = {limit!r}: must be an integer of at least {MINIMUM_MEMORY_BYTES} bytes")
        self.limit = limit
        self.connections = min(max(limit * 8 // 5 // self.part_bytes(MAXIMUM_CONNECTIONS), 1), MAXIMUM_CONNECTIONS)
        self.whole_bytes = min(_WHOLE_BYTES, limit // 2)
        self._renew()
        call_after_fork(self._renew)

    def _renew(self) -> None:
        # Within a method here, Python can collect an abandoned iterator, which closes its share.
        self._lock = RLock()
        self._shares: set[Share] = set()
        self._buffers: list[memoryview] = []

    def part_bytes(self, connections: int) -> int:
        """Return the largest size of a part that is read by one of `connections`. With fewer of them it is larger."""
        ideal = min(self.limit * 8 // 5, _ALL_PARTS_BYTES) // connections // PIECE_BYTES * PIECE_BYTES
        return min(max(ideal, _SMALLEST_PART_BYTES), _LARGEST_PART_BYTES)

    def share(self) -> Share:
        """Return the share of one transfer. Close it when the transfer ends."""
        share = Share(self)
        with self._lock:
            self._shares.add(share)
        return share

    def __reduce__(self) -> tuple[type[Memory], tuple[int]]:
        return (Memory, (self.limit,))

    @property
    def held(self) -> int:
        """The bytes that all transfers hold."""
        with self._lock:
            return self._sum()

    def _sum(self) -> int:
        # Not a counter: a signal handler that raises within `take` could leave it wrong for the next transfers.
        return sum(share.held for share in list(self._shares))


class Share:
    """The bytes that one transfer holds. A context manager: leaving it gives all of them back.

    No method waits for memory, so that transfers cannot wait for each other. A transfer that does not get bytes waits
    until some of its own are used. It always gets those that are needed next, so it always progresses.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held = 0
        self._beyond = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self, size: int, *, needed_next: bool) -> bool:
        """Hold `size` bytes more if the limit allows it, and return whether it does.

        `needed_next`: the transfer cannot progress without these bytes. They are then held beyond the limit, if this
        share holds none beyond it, or up to 1 MiB. So the memory is at most the limit and 1 MiB, or one `size`,
        for each transfer.
        """
        memory = self._memory
        with memory._lock:
            beyond = max(0, min(size, memory._sum() + size - memory.limit))
            if beyond and not (needed_next and (not self._beyond or self._beyond + beyond <= RESERVE_BYTES)):
                return False
            self._beyond += beyond
            self.held += size
            del memory._buffers[max(0, memory.limit - memory._sum()) // PIECE_BYTES :]
            return True

    def buffer(self, *, needed_next: bool) -> memoryview | None:
        """Hold one piece, as `take` does, and return a buffer for it, or None."""
        with self._memory._lock:
            spare = self._memory._buffers.pop() if self._memory._buffers else None
        if not self.take(PIECE_BYTES, needed_next=needed_next):
            return None
        return spare or new_buffer(PIECE_BYTES)

    def recycle(self, piece: memoryview) -> None:
        """Give back the buffer of a piece, which is used again."""
        self.give_back(PIECE_BYTES)
        with self._memory._lock:
            self._memory._buffers.append(memoryview(piece.obj))

    def give_back(self, size: int) -> None:
        """Hold `size` bytes less."""
        with self._memory._lock:
            self._beyond -= min(size, self._beyond)
            self.held -= size

    def close(self) -> None:
        """Give all bytes back."""
        with self._memory._lock:
            self._memory._shares.discard(self)
            self.held = self._beyond = 0
            if not self._memory._shares:
                self._memory._buffers.clear()
