"""Reading one object on several connections: ranged GETs, joined in order, within the memory limit.

Workers make the requests. One thread joins their pieces in order, computes the SHA-256, and passes the pieces on. The
caller's thread only waits: a signal handler that raises (Ctrl-C, the time limit of a job) can interrupt it between any
two steps. Therefore that thread takes no lock. It uses SimpleQueue, whose methods are one step each.
"""

from __future__ import annotations

import hashlib
import os
import time
from _thread import start_new_thread  # one step, which Thread.start is not
from collections.abc import Callable, Generator
from contextlib import suppress
from itertools import chain, islice, tee
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ResponseStreamingError

from claim_check.errors import PayloadUnavailable
from claim_check.memory import MIB, PIECE_BYTES, Memory
from claim_check.processors import reading_connections, share_here
from claim_check.s3.connection import is_stall, read_into, wake
from claim_check.s3.pace import STALL_SECONDS, Connections, Pace, Rates
from claim_check.s3.parts import Part, Piece, parts_for_target, parts_in_order

if TYPE_CHECKING:
    from botocore.response import StreamingBody

    from claim_check.s3.object_reader import ObjectReader

_WAIT_SECONDS = 0.5
_MEMORY_WAIT_SECONDS = 0.1  # another transfer can give bytes back; this one's own bytes and its end wake a worker
_END_SECONDS = 1.0  # a request without a response is not waited for any longer; its thread ends with it
_SMALLEST_TARGET_PART_BYTES = 2 * MIB
_LARGEST_TARGET_PART_BYTES = 16 * MIB
_READ_BYTES = 128 * 1024  # urllib3 makes an object of that size for each read, in the arena of its thread
_CAREFUL_BYTES = 16 * 1024  # after a drop: bytes of an incomplete read are lost with the connection


class Target(Protocol):
    """A place of known size that takes bytes in any order. Threads share it."""

    def write(self, offset: int, data: memoryview) -> None:
        """Write bytes at their offset."""

    def read(self, offset: int, size: int) -> memoryview:
        """Return bytes that were written."""

    def close(self) -> None:
        """Close the place. No thread uses it afterwards."""


class _Stopped(BaseException):
    """The caller has closed the generator."""


class ParallelRead:
    """One read of an object of `size` bytes.

    `check` is called with size and SHA-256 (hex) of all bytes, before the last ones are passed on. Its error, like any
    other, ends the read. Without a `target` the bytes are passed on in order. With one, they are written there.
    """

    def __init__(
        self,
        source: ObjectReader,
        *,
        size: int,
        etag: str | None,
        memory: Memory,
        check: Callable[[int, str], object],
        target: Target | None = None,
    ) -> None:
        self._source = source
        self._size = size
        self._etag = etag
        self._memory = memory
        self._check = check
        self._target = target
        connections = min(memory.connections, reading_connections(share_here()))
        parts = (
            parts_in_order(size, connections=connections, largest=memory.part_bytes(connections), memory=memory.limit)
            if target is None
            else parts_for_target(
                size,
                connections=connections,
                smallest=_SMALLEST_TARGET_PART_BYTES,
                largest=_LARGEST_TARGET_PART_BYTES,
            )
        )
        first = list(islice(parts, connections))
        maximum = len(first)
        self._connections = Connections(maximum)
        self._rates = Rates(2 * maximum)
        self._ready: SimpleQueue[memoryview | BaseException | None] = SimpleQueue()
        self._inbox: SimpleQueue[memoryview | bool] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._is_closed = False
        # The caller's thread uses nothing below.
        self._changed = Condition()
        self._share = memory.share()
        self._parts_to_read, self._parts_to_join = tee(chain(first, parts))
        self._head: Part | None = None
        self._error: BaseException | None = None
        self._is_stopped = False
        self._bodies: set[StreamingBody] = set()
        self._reading: dict[StreamingBody, float] = {}  # the time when the read of a piece began
        self._workers: list[Thread] = []
        self._running = 0
        self._received = 0
        self._stalls = 0

    def pieces(self) -> Generator[memoryview]:
        """Yield the bytes in order. A piece is valid until the next one is requested."""
        process = os.getpid()
        joiner = Thread(target=self._join, name="claim-check-join", daemon=True)
        try:
            self._start_joiner(joiner)
            while (piece := self._receive(process)) is not None:
                yield piece
                self._inbox.put(piece)
        finally:
            self._is_closed = self._is_stopped = True
            self._inbox.put(False)
            with suppress(Empty):
                self._ended.get(timeout=_END_SECONDS if os.getpid() == process else 0)
                if joiner.is_alive():
                    joiner.join(_END_SECONDS)

    def _receive(self, process: int) -> memoryview | None:
        while True:
            try:
                item = self._ready.get(timeout=_WAIT_SECONDS)
            except Empty:
                if os.getpid() != process:
                    raise PayloadUnavailable("the read belongs to another process: read the payload again") from None
                continue
            if isinstance(item, BaseException):
                raise item
            return item

    def _start_joiner(self, joiner: Thread) -> None:
        try:
            start_new_thread(self._start, (joiner,))
        except RuntimeError:  # a limit of threads or memory
            self._end()
            raise

    # The joining thread.

    def _start(self, joiner: Thread) -> None:
        try:
            joiner.start()
        except BaseException as error:  # a limit of threads or memory
            self._ready.put(error)
            self._end()

    def _end(self) -> None:
        self._share.close()
        if self._target:
            self._target.close()
        self._ended.put(None)

    def _join(self) -> None:
        digest, done = hashlib.sha256(), 0
        try:
            self._add_workers()
            while part := self._begin():
                while piece := self._next_piece(part):
                    data = self._target.read(piece.offset, piece.size) if self._target else piece.view
                    digest.update(data)
                    done += piece.size
                    if done == self._size:
                        self._check(done, digest.hexdigest())
                    if not self._target:
                        self._ready.put(data)
            self._ready.put(None)
        except BaseException as error:
            self._ready.put(error)
        finally:
            self._end_workers()
            self._await_pieces()
            self._end()

    def _begin(self) -> Part | None:
        with self._changed:
            self._head = next(self._parts_to_join, None)
            self._changed.notify_all()  # the part's worker can wait for memory that it now always gets
            return self._head

    def _await_pieces(self) -> None:
        """Wait until the caller has all pieces, or closes the generator. Their memory is held until then."""
        with suppress(_Stopped):
            while self._share.held > PIECE_BYTES and not self._is_closed:  # the caller still uses the last piece
                self._note(self._inbox.get())

    def _next_piece(self, part: Part) -> Piece | None:
        """Return the next piece of the part, or None at its end."""
        while True:
            self._take_back()
            with self._changed:
                if part.pieces:
                    return part.pieces.popleft()
                if self._error:
                    raise self._error
                if not part.missing:
                    return None
            with suppress(Empty):
                self._note(self._inbox.get(timeout=STALL_SECONDS))
            self._end_stalled()

    def _take_back(self) -> None:
        with suppress(Empty):
            while True:
                self._note(self._inbox.get_nowait())

    def _note(self, item: memoryview | bool) -> None:
        if self._is_closed:
            raise _Stopped
        if isinstance(item, memoryview):
            with self._changed:
                self._share.recycle(item)
                self._changed.notify_all()

    def _end_stalled(self) -> None:
        """End connections that are silent while others receive. Their workers resume on other ones."""
        with self._changed:
            now = time.monotonic()
            for begun in self._reading.values():
                self._source.require_progress(PIECE_BYTES, seconds=now - begun)
            stalled = [body for body, begun in self._reading.items() if self._rates.is_stalled(now - begun)]
            for body in stalled:
                del self._reading[body]
        for body in stalled:
            wake(body)

    def _end_workers(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()
            bodies, workers = list(self._bodies), list(self._workers)
        for body in bodies:
            wake(body)
        for worker in workers:
            worker.join()

    # The workers.

    def _add_workers(self) -> None:
        with self._changed:
            for _ in range(self._connections.number):
                worker = Thread(target=self._work, name="claim-check-read", daemon=True)
                try:
                    worker.start()
                except RuntimeError:
                    if not self._running:
                        raise
                    return  # a limit of threads or memory: those that run go on
                self._workers.append(worker)
                self._running += 1

    def _work(self) -> None:
        buffer = memoryview(bytearray(PIECE_BYTES)) if self._target else None
        try:
            while part := self._next_part():
                self._read_part(part, buffer)
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
            self._inbox.put(True)

    def _next_part(self) -> Part | None:
        with self._changed:
            is_over = self._is_stopped or self._error or self._running > self._connections.number
            part = None if is_over else next(self._parts_to_read, None)
            self._running -= part is None
            return part

    def _read_part(self, part: Part, buffer: memoryview | None) -> None:
        in_a_row = 0
        while part.missing and not self._is_stopped:
            before = part.received
            try:
                self._read_range(part, buffer, is_careful=in_a_row > 0)
            except Exception as error:
                if self._is_stopped:
                    return
                in_a_row = 0 if part.received > before else in_a_row + 1
                with self._changed:
                    self._stalls += is_stall(error)
                    pause = self._source.pause(error, in_a_row=in_a_row, stalls=self._stalls, received=self._received)
                    self._changed.wait_for(lambda: self._is_stopped, pause)

    def _read_range(self, part: Part, buffer: memoryview | None, *, is_careful: bool) -> None:
        body, etag = self._source.open(part.offset, part.first + part.size, self._etag)
        try:
            with self._changed:
                self._connections.responded()
                self._etag = self._etag or etag
                self._bodies.add(body)
            if etag != self._etag:
                raise self._source.replaced()
            self._read_body(part, body, buffer, most=_CAREFUL_BYTES if is_careful else _READ_BYTES)
        finally:
            with self._changed:
                self._bodies.discard(body)
            body.close()  # returns to the pool if it was read to its end

    def _read_body(self, part: Part, body: StreamingBody, buffer: memoryview | None, *, most: int) -> None:
        pace = Pace(self._rates)
        try:
            while part.missing and (space := self._space(part, buffer)):
                seconds = self._read_piece(part, body, space, most)
                with self._changed:
                    if pace.is_given_up(len(space), seconds, left=part.missing):
                        return
        finally:
            with self._changed:
                pace.end()

    def _read_piece(self, part: Part, body: StreamingBody, space: memoryview, most: int) -> float:
        """Fill the space, and return the seconds that it took."""
        size, begun = 0, time.monotonic()
        with self._changed:
            self._reading[body] = begun
        try:
            while size < len(space):
                size += read_into(body, space[size : size + most])
        finally:
            seconds = time.monotonic() - begun
            with self._changed:
                # After a TLS connection was ended, its last bytes can be those of the protocol.
                is_ended = self._reading.pop(body, None) is None
            self._keep(part, space, 0 if is_ended else size)
        if is_ended:
            raise ResponseStreamingError(error="the connection was silent")
        return seconds

    def _space(self, part: Part, buffer: memoryview | None) -> memoryview | None:
        """Return the place of the next piece, or None if the read has ended."""
        size = min(PIECE_BYTES, part.missing)
        if buffer:
            return None if self._is_stopped else buffer[:size]
        with self._changed:
            while not self._is_stopped:
                if space := self._share.buffer(needed_next=part is self._head):
                    return space[:size]
                self._changed.wait(_MEMORY_WAIT_SECONDS)
        return None

    def _keep(self, part: Part, space: memoryview, size: int) -> None:
        """Add the first `size` bytes of the space to the part."""
        if self._target and size:
            self._target.write(part.offset, space[:size])
        with self._changed:
            if not self._target and not size:
                self._share.recycle(space)
                return
            part.pieces.append(Piece(part.offset, size, space[: 0 if self._target else size]))
            part.received += size
            self._received += size
            self._connections.received(now=time.monotonic())
            is_next = part is self._head
        if is_next:
            self._inbox.put(True)
