"""A received payload whose stored bytes are compressed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from claim_check.compression import expand
from claim_check.errors import PayloadTooLarge
from claim_check.receiving.payload import READ_LIMIT_BYTES, Digest, Payload, ignore
from claim_check.receiving.proof import Proof
from claim_check.receiving.target import replaced_file, special_file

if TYPE_CHECKING:
    from claim_check.s3.client import S3Source
    from claim_check.s3.copy import Copied
    from claim_check.store import S3Object
    from claim_check.wire.claim import Claim


class CompressedPayload(Payload):
    """The expanded bytes of `stored`. `size` is their number, as the message declares it.

    `verify` and `copy_to` are for the stored, compressed bytes: S3 neither expands nor reads them. All other methods
    return expanded bytes, and raise PayloadTooLarge, before reading, if there are more than `limit`.
    """

    def __init__(self, stored: Payload, *, size: int, limit: int, claim: Claim) -> None:
        self.size = size
        self._stored = stored
        self._limit = limit
        self._claim = claim

    def read(self, limit: int = READ_LIMIT_BYTES) -> bytes:
        """Return all bytes. Raises PayloadTooLarge, before reading, if there are more than `limit`."""
        self._require_up_to(limit)
        return b"".join(self._stream())

    def download_to(self, path: str | os.PathLike[str]) -> Digest:
        """Write the bytes to a file, replacing an earlier file. An incomplete or corrupt file never appears."""
        self._require_up_to(self._limit)
        with special_file(path) as special, nullcontext(special) if special else replaced_file(path) as file:
            return self._pipe(file.write)

    def verify(self) -> Proof:
        """Compare the stored bytes with the message by one HeadObject. Their expansion is not proved."""
        return self._stored.verify()

    def verify_by_reading(self) -> Digest:
        """Read all bytes, and return their number and SHA-256."""
        return self._pipe(ignore)

    def copy_to(self, target: S3Object, *, s3: S3Source | None = None) -> Copied:
        """Copy the compressed bytes to `target` in S3."""
        return self._stored.copy_to(target, s3=s3)

    @property
    def is_whole(self) -> bool:
        """Whether the payload is read in advance: never, because its expanded size is not counted as memory."""
        return False

    def _pipe(self, write: Callable[[bytes], object]) -> Digest:
        digest = hashlib.sha256()
        with closing(self._stream()) as pieces:
            for piece in pieces:
                write(piece)
                digest.update(piece)
        return Digest(self.size, digest.hexdigest())

    def _stream(self, note: Callable[[Digest], object] = ignore) -> Generator[bytes]:
        self._require_up_to(self._limit)
        with closing(self._stored._stream(note)) as pieces:
            yield from expand(pieces, expanded=self.size, message_id=self._claim.id)

    def _require_up_to(self, limit: int) -> None:
        if self.size > limit:
            raise PayloadTooLarge(
                f"the payload has {self.size} bytes when it is expanded, more than the limit of {limit}: raise "
                "expanded_limit of the dereferencer, or stream it (iter_chunks, open, download_to)",
                message_id=self._claim.id,
            )
