"""Compression of offloaded payloads, with gzip of the standard library, in constant memory."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable
from typing import Literal

from claim_check.errors import PayloadCorrupt
from claim_check.s3.client import MIB

Compression = Literal["gzip"]

_GZIP = 31  # zlib's parameter wbits: the largest window, in the format of gzip


class Compressor:
    """The compressed bytes of `chunks`. `expanded` is the number of bytes that were compressed so far."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.expanded = 0

    def compressed(self) -> Generator[bytes]:
        """Yield the compressed bytes. The same bytes give the same result, with the same version of zlib."""
        stream = zlib.compressobj(wbits=_GZIP)
        for chunk in self._chunks:
            self.expanded += len(chunk)
            if data := stream.compress(chunk):
                yield data
            del chunk  # otherwise it stays in memory while the next one is read
        yield stream.flush()


def expand(pieces: Iterable[bytes | memoryview], *, expanded: int, message_id: str) -> Generator[bytes]:
    """Yield the bytes that were compressed, up to 1 MiB at a time. The last ones follow the end of `pieces`.

    Raises PayloadCorrupt if the pieces are not one complete stream of gzip with `expanded` bytes. No more bytes than
    these are yielded.
    """
    stream, left, last = zlib.decompressobj(wbits=_GZIP), expanded, b""
    for piece in pieces:
        rest: bytes | memoryview = piece
        while rest:  # the stream's end follows all output, so zlib holds none without further input
            try:
                data = stream.decompress(rest, MIB)
            except zlib.error as error:
                raise PayloadCorrupt("the payload is not valid gzip", message_id=message_id) from error
            left -= len(data)
            if left < 0 or stream.unused_data:
                raise PayloadCorrupt(f"the payload has more than {expanded} expanded bytes", message_id=message_id)
            if data and last:
                yield last
            last = data or last
            rest = stream.unconsumed_tail
    if left or not stream.eof:
        raise PayloadCorrupt(f"the payload has less than {expanded} expanded bytes", message_id=message_id)
    if last:
        yield last
