"""One measured transfer, in a process of its own. `__main__.py` starts it.

    python -m bench.transfer CLIENT WAY SIZE DILATION FOLDER

It prints `ready` after a transfer of a few bytes, and then wall and CPU seconds and the peak memory in bytes, in
addition to the memory before the transfer. Wall seconds are those of a clock that is slower by DILATION. Files are in
FOLDER, and `payload-SIZE` is made if it is missing.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import pattern
from bench.clients import BATCH, CLIENTS

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST = 7  # bytes of the transfer that opens the first connection


class Stream(io.RawIOBase):
    """The payload as a stream that cannot seek."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read the next bytes."""
        target = memoryview(buffer)
        piece = pattern.view(self._at, min(len(target), pattern.PIECE, self._size - self._at))
        target[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def prepared(client: Any, way: str, size: int, folder: Path) -> Callable[[], object]:
    """Return the transfer, with its input made."""
    direction, kind = way.split("_")
    if direction == "publish":
        return partial(getattr(client, way, client.publish), source_of(kind, size, folder))
    return partial(getattr(client, way), *([size, folder / "received"] if kind == "file" else [size]))


def source_of(kind: str, size: int, folder: Path) -> object:
    """Return the payload as a path, a stream or bytes."""
    if kind == "file":
        path = folder / f"payload-{size}"
        if not path.exists():
            pattern.write(path, size)
        return path
    return io.BufferedReader(Stream(size), pattern.PIECE) if kind == "stream" else b"".join(pattern.pieces(size))


def memory(name: str) -> int:
    """Return a figure of this process in bytes (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def slow_down(dilation: float) -> None:
    """Make this process's clock slower, as the network is. Clients that measure a rate see the rate of the profile."""
    for name in ("monotonic", "perf_counter", "process_time"):
        setattr(time, name, partial(lambda clock: clock() / dilation, getattr(time, name)))
    sleep = time.sleep
    setattr(time, "sleep", lambda seconds: sleep(seconds * dilation))  # noqa: B010 - its type is overloaded


def main(name: str, way: str, size: int, dilation: float, folder: Path) -> None:
    """Measure one transfer."""
    slow_down(dilation)
    pattern.sha256(size)  # not part of the transfer
    client = CLIENTS[name]()
    prepared(client, way.replace("batch", "bytes"), FIRST, folder)()
    transfer = prepared(client, way, size, folder)
    print("ready", flush=True)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = memory("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    received = transfer()
    wall, cpu = time.perf_counter() - wall, (time.process_time() - cpu) * dilation
    peak = memory("VmHWM")
    expected = {"receive_batch": BATCH * size}.get(way, size if way.startswith("receive") else None)
    assert received == expected, f"{received} bytes, not {expected}"
    print(json.dumps({"wall": wall, "cpu": cpu, "memory": peak - before}), flush=True)
    os._exit(0)  # some clients' threads do not end


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
