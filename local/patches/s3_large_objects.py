"""Patches of S3: constant memory for large objects. The emulator stores an object several times in memory.

With the patches, a large body is in a file from its first byte to its last. The file is mapped into memory, because the
emulator's code expects bytes. Copies and versions share the file.
"""

from __future__ import annotations

import hashlib
import mmap
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any, BinaryIO

from ministack import app
from ministack.services import s3

from local.patches.patch import patch, replaces, rewrite

LARGE = 4 << 20
_PIECE = 1 << 20
_RESIDENT = 32 << 20


class Body(mmap.mmap):
    """A body in an unnamed file, which is deleted with its last reference. A long slice is a view, not a copy."""

    @classmethod
    def from_file(cls, file: BinaryIO) -> Body:
        """Return a body with the whole content of an open file. The caller may then close the file."""
        file.flush()
        return cls(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and len(range(*key.indices(len(self)))) >= LARGE:
            return memoryview(self)[key]
        return super().__getitem__(key)

    def __deepcopy__(self, _: object) -> Body:
        """Return this object: a replica shares the file."""
        return self

    def pieces(self) -> Iterator[memoryview]:
        """Yield the body in pieces of 1 MiB, and release the memory of the pieces that were read."""
        view = memoryview(self)
        for start in range(0, len(self), _PIECE):
            yield view[start : start + _PIECE]
            if (start + _PIECE) % _RESIDENT == 0:
                self.madvise(mmap.MADV_DONTNEED, start + _PIECE - _RESIDENT, _RESIDENT)
        self.madvise(mmap.MADV_DONTNEED)


def _pieces(body: Any) -> Iterator[Any]:
    if isinstance(body, Body):
        yield from body.pieces()
    elif len(body) >= LARGE:
        view = memoryview(body)
        yield from (view[start : start + _PIECE] for start in range(0, len(view), _PIECE))
    else:
        yield body


@patch
def large_requests_are_received_in_files() -> None:
    """Receive large uploads in files.

    AWS: accepts up to 5 GB in one request. The emulator: collects the body in memory, several times.
    """

    @replaces(app, "_read_request_body")
    async def read(original: Any, receive: Any, method: str, headers: dict[str, str]) -> Any:
        framing = headers.get("x-amz-content-sha256", "")
        length = headers.get("x-amz-decoded-content-length") or headers.get("content-length") or "0"
        signed_chunks = framing.startswith("STREAMING-AWS4")  # the emulator checks their signatures itself
        is_s3 = "/s3/aws4_request" in headers.get("authorization", "")
        if method != "PUT" or not is_s3 or signed_chunks or not length.isdigit() or int(length) < LARGE:
            return await original(receive, method, headers)
        app.pin_signed_body(b"")  # the signature covers the header with the body's digest, not the body
        with tempfile.TemporaryFile() as received, tempfile.TemporaryFile() as decoded:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise app._RequestBodyDisconnected
                received.write(message.get("body", b""))
                more = message.get("more_body", False)
            file = received
            if framing.startswith("STREAMING-") or "aws-chunked" in headers.get("content-encoding", ""):
                received.seek(0)
                for name, value in _decode(received, decoded).items():
                    headers.setdefault(name, value)
                file = decoded
            if file.tell() != int(length):
                raise app._IncompleteRequestBody(f"Content-Length is {length}, but {file.tell()} bytes arrived")
            _remove_chunked_encoding(headers)
            return Body.from_file(file)


def _decode(chunked: BinaryIO, file: BinaryIO) -> dict[str, str]:
    """Decode aws-chunked (`<size in hex>[;extension]CRLF data CRLF`, a chunk of size 0) and return its trailers."""
    try:
        while size := int(chunked.readline().split(b";")[0], 16):
            for start in range(0, size, _PIECE):
                file.write(chunked.read(min(_PIECE, size - start)))
            chunked.readline()
    except ValueError:
        raise app._IncompleteRequestBody("the last chunk of an aws-chunked body is missing") from None
    fields = (line.decode("latin-1").partition(":") for line in chunked)
    return {name.strip().lower(): value.strip() for name, _, value in fields if name.strip()}


def _remove_chunked_encoding(headers: dict[str, str]) -> None:
    encodings = [encoding.strip() for encoding in headers.pop("content-encoding", "").split(",")]
    rest = [encoding for encoding in encodings if encoding and encoding != "aws-chunked"]
    if rest:
        headers["content-encoding"] = ", ".join(rest)


@patch
def large_bodies_are_digested_in_pieces() -> None:
    """Compute digests of large bodies piece by piece.

    AWS: computes checksums of objects of any size. The emulator: in one call, which reads the whole file into memory.
    """

    def in_pieces(algorithm: str) -> Any:
        def digest(data: Any = b"", **named: Any) -> Any:
            result = hashlib.new(algorithm, **named)
            for piece in _pieces(data):
                result.update(piece)
            return result

        return digest

    names = ("md5", "sha1", "sha256")
    s3.hashlib = SimpleNamespace(**{**vars(hashlib), **{name: in_pieces(name) for name in names}})
    s3.md5_hash = lambda data: s3.hashlib.md5(data).hexdigest()

    @replaces(s3, "_compute_s3_checksum")
    def checksum(original: Any, algorithm: str, body: Any) -> Any:
        if (algorithm or "").upper() != "CRC32" or len(body) < LARGE:
            return original(algorithm, body)
        value = 0
        for piece in _pieces(body):
            value = zlib.crc32(piece, value)
        return s3.base64.b64encode(value.to_bytes(4, "big")).decode()


@patch
def parts_are_joined_in_files() -> None:
    """Join the parts of an upload in a file.

    AWS: completes an upload of any size. The emulator: joins the parts in memory.
    """
    s3._join = _join
    rewrite(s3, "_complete_multipart_upload", ('b"".join(combined_parts)', "_join(combined_parts)"))


def _join(parts: Iterable[Any]) -> Any:
    parts = list(parts)
    if sum(len(part) for part in parts) < LARGE:
        return b"".join(parts)
    with tempfile.TemporaryFile() as file:
        for part in parts:
            for piece in _pieces(part):
                file.write(piece)
        return Body.from_file(file)


@patch
def large_responses_are_sent_in_pieces() -> None:
    """Send large objects piece by piece.

    AWS: streams an object. The emulator: passes the whole object to the web server at once.
    """

    @replaces(app, "_send_response")
    async def send_response(
        original: Any, send: Any, status: int, headers: dict[str, Any], body: Any, *, head: bool = False
    ) -> None:
        if not isinstance(body, Body | memoryview):
            await original(send, status, headers, body, head=head)
            return
        if "content-length" not in {name.lower() for name in headers}:
            headers["Content-Length"] = str(len(body))
        await send({"type": "http.response.start", "status": status, "headers": app._asgi_header_list(headers)})
        for piece in _pieces(body):
            await send({"type": "http.response.body", "body": bytes(piece), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
