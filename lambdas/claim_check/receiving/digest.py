"""SHA-256 of bytes as they go by, beside the network and not after it."""

from __future__ import annotations

import hashlib
from queue import Queue
from threading import Thread

from claim_check.s3.client import MIB

_worth_a_thread = 8 * MIB
_waiting = 2  # chunks


class Digesting:
    """The SHA-256 of chunks, for a payload of about `size` bytes: that of a large one on a thread of its own (hashlib
    lets other threads run), which costs two chunks of memory and saves most of the time it takes.

    A context manager: leaving it ends the thread, whatever happened.
    """

    def __init__(self, size: int) -> None:
        self._digest = hashlib.sha256()
        self._chunks: Queue[bytes | None] = Queue(_waiting)
        self._thread = Thread(target=self._run, name="digesting", daemon=True) if size >= _worth_a_thread else None

    def __enter__(self) -> Digesting:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def update(self, chunk: bytes) -> None:
        """Adds a chunk, which must not change any more."""
        if self._thread:
            self._chunks.put(chunk)
        else:
            self._digest.update(chunk)

    def hexdigest(self) -> str:
        """The digest of all chunks; none can follow."""
        self._finish()
        return self._digest.hexdigest()

    def _finish(self) -> None:
        if self._thread:
            self._chunks.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            self._digest.update(chunk)
