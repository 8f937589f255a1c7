"""A caller's payload as chunks of bytes of bounded size.

No function here refers to a chunk after yielding it. So the number of chunks in use bounds the memory.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from claim_check.errors import InvalidMessage
from claim_check.s3.client import MIB

CHUNK_BYTES = 5 * MIB  # one part of an upload, which is sent as it was read
_CHUNK_CHARACTERS = CHUNK_BYTES // 4  # UTF-8 needs up to four bytes for a character


@runtime_checkable
class BinaryFile(Protocol):
    """A file object that reads bytes from its position to its end. It need not seek, and is not closed."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, or no bytes at the end."""


PayloadSource = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryFile | Iterable[bytes]


class SourceReader:
    """A caller's payload, read once. A context manager: leaving it closes a file that was opened here."""

    def __init__(self, payload: PayloadSource) -> None:
        self._payload = payload
        self._chunks: Generator[bytes] | None = None
        self._head: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._chunks:
            self._chunks.close()

    def whole(self, limit: int) -> bytes | None:
        """Return the payload if it has up to `limit` bytes, otherwise None. `chunks` returns all bytes either way."""
        if (data := _small(self._payload, limit)) is not None:
            self._head = [data]
            return data
        self._chunks = chunks_of(self._payload)
        size = 0
        for chunk in self._chunks:
            self._head.append(chunk)
            size += len(chunk)
            if size > limit:
                break
        return b"".join(self._head) if size <= limit else None

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes of the payload, including those that `whole` read."""
        yield from emptied(self._head)
        if self._chunks:
            yield from self._chunks


def emptied(chunks: list[bytes]) -> Generator[bytes]:
    """Yield the list's chunks, and remove each from the list, so that it does not stay in memory."""
    while chunks:
        yield chunks.pop(0)


def chunks_of(payload: PayloadSource) -> Generator[bytes]:
    """Yield the payload's bytes, up to 5 MiB at a time. Text is encoded as UTF-8; text is never a path.

    Raises InvalidMessage for any other type, and the errors of the caller's file or iterable.
    """
    match payload:
        case str():
            yield from _text(payload)
        case bytes() | bytearray() | memoryview():
            yield from _buffer(payload)
        case os.PathLike():
            with Path(payload).open("rb") as file:
                yield from _file(file)
        case Mapping():
            raise InvalidMessage("a payload cannot be a mapping: pass json.dumps of it")
        case BinaryFile():
            yield from _file(payload)
        case Iterable():
            for item in payload:
                yield from _buffer(item)
        case _:
            raise InvalidMessage(
                f"a payload cannot be a {type(payload).__name__}: pass bytes, text, a path, a binary file "
                "or an iterable of bytes"
            )


def _small(payload: PayloadSource, limit: int) -> bytes | None:
    """Return bytes or text in memory, if valid and up to `limit` bytes. Saves the generators for most messages."""
    if isinstance(payload, str) and len(payload) <= limit:
        try:
            data = payload.encode("utf-8")
        except UnicodeEncodeError:
            return None
        return data if len(data) <= limit else None
    return payload if isinstance(payload, bytes) and len(payload) <= limit else None


def _text(text: str) -> Generator[bytes]:
    for start in range(0, len(text), _CHUNK_CHARACTERS):
        try:
            yield text[start : start + _CHUNK_CHARACTERS].encode("utf-8")
        except UnicodeEncodeError:
            # `from None`: the error holds the text.
            raise InvalidMessage("the payload's text has an unpaired surrogate: pass bytes") from None


def _buffer(data: object) -> Generator[bytes]:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidMessage(f"an iterable payload must yield bytes, not {type(data).__name__}")
    if isinstance(data, bytes) and len(data) <= CHUNK_BYTES:
        yield data
        return
    view = memoryview(data)
    if not view.c_contiguous:
        raise InvalidMessage("a payload cannot be a memoryview with gaps: pass its tobytes()")
    octets = view.cast("B") if view.nbytes else memoryview(b"")
    for start in range(0, len(octets), CHUNK_BYTES):
        yield bytes(octets[start : start + CHUNK_BYTES])


def _file(file: BinaryFile) -> Generator[bytes]:
    yield from map(_read, iter(lambda: file.read(CHUNK_BYTES), b""))


def _read(chunk: object) -> bytes:
    if not isinstance(chunk, bytes | bytearray):
        raise InvalidMessage("a payload's file must be opened in binary mode: open(…, 'rb')")
    return bytes(chunk)
