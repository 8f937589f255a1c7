"""SHA-256 of a stream, computed while the network delivers it."""

from __future__ import annotations

import hashlib
from queue import Queue
from threading import Thread
from typing import Self

from claim_check.s3.client import MIB

_THREAD_FROM_BYTES = 8 * MIB
_QUEUED_CHUNKS = 2


class StreamDigest:
    """The SHA-256 of chunks, for a payload of about `size` bytes.

    A large payload is digested by a thread, because hashlib releases Python's lock. That costs two chunks of memory and
    saves most of the time of the digest. A context manager: leaving it ends the thread.
    """

    def __init__(self, size: int) -> None:
        self._digest = hashlib.sha256()
        self._chunks: Queue[bytes | None] = Queue(_QUEUED_CHUNKS)
        self._thread = Thread(target=self._run, name="digest", daemon=True) if size >= _THREAD_FROM_BYTES else None

    def __enter__(self) -> Self:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish()

    def update(self, chunk: bytes) -> None:
        """Add a chunk. The caller must not change it afterwards."""
        if self._thread:
            self._chunks.put(chunk)
        else:
            self._digest.update(chunk)

    def hexdigest(self) -> str:
        """Return the digest of all chunks. No chunk can be added afterwards."""
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
