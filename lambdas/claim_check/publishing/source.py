"""A caller's payload: a blob, whose bytes are read at any position, or a stream, which is read once.

Files and bytes in memory are blobs. Text, iterables and other file objects are streams. They are read in the caller's
thread.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from claim_check.errors import InvalidMessage
from claim_check.s3.client import MIB

CHUNK_BYTES = MIB
_CHUNK_CHARACTERS = CHUNK_BYTES // 4  # UTF-8 needs up to four bytes for a character
_NOTHING = memoryview(b"")
# The exact types: a subclass may read other bytes than its file has, as gzip.GzipFile does.
_FILE_TYPES = (io.FileIO, io.BufferedReader, io.BufferedRandom)


@runtime_checkable
class BinaryFile(Protocol):
    """A file object that reads bytes from its position to its end. It need not seek, and is not closed."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, or no bytes at the end."""


PayloadSource = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryFile | Iterable[bytes]


class BytesBlob:
    """Bytes in memory. They are not copied. `can_change` is false for `bytes`."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        if not view.c_contiguous:
            raise InvalidMessage("a payload cannot be a memoryview with gaps: pass its tobytes()")
        self.view = view.cast("B") if view.nbytes else memoryview(b"")
        self.size = len(self.view)
        self.can_change = not isinstance(view.obj, bytes)

    def read(self, first: int, size: int) -> memoryview:
        """Return `size` bytes from `first`, without a copy."""
        return self.view[first : first + size]

    def require_end(self) -> None:
        """Do nothing: a buffer in use cannot become longer."""


class FileBlob:
    """A regular file from the caller's position to its end. The position does not move."""

    can_change = True

    def __init__(self, file: io.FileIO | io.BufferedReader | io.BufferedRandom) -> None:
        file.flush()
        self._file = file.fileno()
        self._start = file.tell()
        self.size = max(0, os.fstat(self._file).st_size - self._start)

    @classmethod
    def of(cls, file: object) -> FileBlob | None:
        """Return the blob of a regular file, or None for any other object.

        A buffer over another raw stream, such as GzipFile, can have the number of a file with other bytes.
        """
        is_file = type(file) in _FILE_TYPES and type(getattr(file, "raw", file)) is io.FileIO
        if not is_file or not hasattr(os, "pread"):
            return None
        assert isinstance(file, _FILE_TYPES)
        return cls(file) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.readable() else None

    def read(self, first: int, size: int) -> bytes:
        """Return `size` bytes from `first`. Raises InvalidMessage if the file has become shorter."""
        data = os.pread(self._file, size, self._start + first)
        if size and not data:
            raise changed()
        return data

    def require_end(self) -> None:
        """Raise InvalidMessage if the file has become longer."""
        if os.pread(self._file, 1, self._start + self.size):
            raise changed()

    def chunks(self) -> Generator[bytes]:
        """Yield the bytes up to the end of the file."""
        position = self._start
        while chunk := os.pread(self._file, CHUNK_BYTES, position):
            position += len(chunk)
            yield chunk


def changed() -> InvalidMessage:
    """Return the error for a payload that is not the same when it is read again."""
    return InvalidMessage(
        "the payload changed while it was sent: publish a file or buffer that nothing writes to, or a copy of it"
    )


class SourceReader:
    """A caller's payload, read once. A context manager: leaving it closes a file that was opened here.

    `payload` is the caller's. `blob` is its blob, or None for a stream. `error` is the error of reading the payload.
    """

    def __init__(self, payload: PayloadSource) -> None:
        self.payload = payload
        self._opened: io.FileIO | None = None
        self._chunks: Generator[bytes] | None = None
        self._whole: bytes | None = None
        self._head = bytearray()
        self._rest = _NOTHING
        self.blob: BytesBlob | FileBlob | None = None
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._chunks:
            self._chunks.close()
        if self._opened:
            self._opened.close()

    def whole(self, limit: int) -> bytes | None:
        """Return the payload if it has up to `limit` bytes, otherwise None: then `fill` returns its bytes.

        A later call can pass a higher limit.
        """
        if self._whole is None and not self._head:
            self._whole = _small(self.payload, limit)
        if self._whole is not None:
            return self._whole
        if self._chunks is None:
            with self._noted():
                self._chunks = self._open()
        if self.blob and self.blob.size > limit:
            return None
        while len(self._head) <= limit:
            chunk = self._next()
            if chunk is None:
                self._whole, self._head = bytes(self._head), bytearray()
                return self._whole
            self._head += chunk
        return None

    def fill(self, buffer: memoryview) -> int:
        """Copy the next bytes of the payload into `buffer`. Return their number: fewer than its length at the end."""
        if self._head:
            self._rest, self._head = memoryview(self._head), bytearray()
        filled = 0
        while filled < len(buffer):
            if not self._rest:
                chunk = self._next()
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            piece = self._rest[: len(buffer) - filled]
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._rest = self._rest[len(piece) :]
        return filled

    def chunks(self) -> Generator[bytes]:
        """Yield all bytes of the payload, after `whole` was called."""
        if self._whole is not None:
            yield self._whole
            return
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while filled := self.fill(buffer):
            yield bytes(buffer[:filled])

    def _next(self) -> bytes | None:
        assert self._chunks
        with self._noted():
            return next(self._chunks, None)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.error = error
            raise

    def _open(self) -> Generator[bytes]:
        payload: object = self.payload
        if isinstance(payload, os.PathLike):
            payload = self._opened = Path(payload).open("rb", buffering=0)  # noqa: SIM115 - closed by __exit__
        if isinstance(payload, bytes | bytearray | memoryview):
            self.blob = BytesBlob(payload)
        # A file of /proc has the size 0 and bytes nevertheless.
        elif (blob := FileBlob.of(payload)) and blob.size:
            self.blob = blob
            return blob.chunks()
        return chunks_of(payload)


def chunks_of(payload: object) -> Generator[bytes]:
    """Yield a stream's bytes, up to 1 MiB at a time. Text is encoded as UTF-8; text is never a path.

    Raises InvalidMessage for any other type, and the errors of the caller's file or iterable.
    """
    match payload:
        case str():
            yield from _text(payload)
        case bytes() | bytearray() | memoryview():
            yield from _buffer(payload)
        case Mapping():
            raise InvalidMessage("a payload cannot be a mapping: pass json.dumps of it")
        case BinaryFile():
            yield from map(_read, iter(lambda: payload.read(CHUNK_BYTES), b""))
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
    view = BytesBlob(data).view
    for start in range(0, len(view), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])


def _read(chunk: object) -> bytes:
    if not isinstance(chunk, bytes | bytearray):
        raise InvalidMessage("a payload's file must be opened in binary mode: open(…, 'rb')")
    return bytes(chunk)
