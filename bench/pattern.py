"""The payloads' bytes: a block of ASCII text, repeated, so that neither server nor client needs a disk.

No part size divides the block's length. Therefore parts in a wrong order are other bytes.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

PERIOD = 3 * 1024 * 1024 + 4099
PIECE = 1024 * 1024
_BLOCK = b64encode(Random(7).randbytes(PERIOD))[:PERIOD]  # noqa: S311 - not a secret
_TWICE = _BLOCK * 2


def view(start: int, size: int) -> memoryview:
    """Return up to PERIOD bytes from `start` on."""
    return memoryview(_TWICE)[start % PERIOD : start % PERIOD + size]


def pieces(size: int) -> Iterator[memoryview]:
    """Yield the payload of `size` bytes, up to 1 MiB at a time."""
    for start in range(0, size, PIECE):
        yield view(start, min(PIECE, size - start))


def find(head: bytes) -> int | None:
    """Return the first position of these bytes within the block, or None."""
    start = _TWICE.find(head)
    return None if start < 0 else start


@cache
def sha256(size: int) -> str:
    """Return the SHA-256 (hex) of the payload."""
    digest = hashlib.sha256()
    for piece in pieces(size):
        digest.update(piece)
    return digest.hexdigest()


def write(path: Path, size: int) -> None:
    """Write the payload to a file."""
    with path.open("wb") as file:
        file.writelines(pieces(size))
