"""What a caller may hand in as a payload, as chunks of bytes of bounded size.

Nothing here holds on to a chunk that it has yielded: what is on its way decides how much memory there is.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from claim_check.errors import InvalidMessage
from claim_check.s3.client import MIB

CHUNK = 5 * MIB  # a part of an upload, which is then sent as it was read
_characters = CHUNK // 4  # a character has at most four bytes in UTF-8


@runtime_checkable
class BinaryFile(Protocol):
    """Anything that reads bytes, from where it stands to its end; it need not seek and is not closed."""

    def read(self, size: int, /) -> bytes: ...


Source = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryFile | Iterable[bytes]


def chunks_of(payload: Source) -> Generator[bytes]:
    """The payload's bytes, at most 5 MiB at a time; text is encoded as UTF-8, a path is read (text is never a path).

    Raises InvalidMessage for anything that is not bytes, and whatever the caller's file or iterable raises.
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


def at_once(payload: Source, most: int) -> bytes | None:
    """The payload's bytes if they are in memory and at most `most`; None for every other payload, and for text that
    is not Unicode."""
    if isinstance(payload, str) and len(payload) <= most:
        try:
            data = payload.encode("utf-8")
        except UnicodeEncodeError:
            return None
        return data if len(data) <= most else None
    return payload if isinstance(payload, bytes) and len(payload) <= most else None


def ahead(first: list[bytes], chunks: Iterable[bytes]) -> Generator[bytes]:
    """The chunks in the list, which is emptied on the way, and then the others."""
    while first:
        yield first.pop(0)
    yield from chunks


def _text(text: str) -> Generator[bytes]:
    for start in range(0, len(text), _characters):
        try:
            yield text[start : start + _characters].encode("utf-8")
        except UnicodeEncodeError:
            # `from None`: the error holds the text.
            raise InvalidMessage("the payload's text holds half a surrogate pair: pass bytes instead") from None


def _buffer(data: object) -> Generator[bytes]:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InvalidMessage(f"an iterable payload must yield bytes, not {type(data).__name__}")
    if isinstance(data, bytes) and len(data) <= CHUNK:
        yield data
        return
    view = memoryview(data)
    if not view.c_contiguous:
        raise InvalidMessage("a payload cannot be a memoryview with gaps: pass its tobytes()")
    octets = view.cast("B") if view.nbytes else memoryview(b"")
    for start in range(0, len(octets), CHUNK):
        yield bytes(octets[start : start + CHUNK])


def _file(file: BinaryFile) -> Generator[bytes]:
    yield from map(_read, iter(lambda: file.read(CHUNK), b""))


def _read(chunk: object) -> bytes:
    if not isinstance(chunk, bytes | bytearray):
        raise InvalidMessage("a payload's file must be opened in binary mode: open(…, 'rb')")
    return bytes(chunk)
