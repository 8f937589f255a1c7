"""A received payload: the same to read whether it came in the message or lies in a store."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from claim_check.copying import Copied, Place
from claim_check.digesting import Digesting
from claim_check.errors import MalformedMessage, PayloadCorrupt, PayloadTooLarge
from claim_check.s3 import MIB
from claim_check.untrusted import parsed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3.client import S3Client

    from claim_check.claim import Claim

READ_LIMIT = 64 * MIB


class Digest(NamedTuple):
    """What was read here: the number of bytes, and their SHA-256 in hex."""

    size: int
    sha256: str


class Bytes(Protocol):
    """Where a payload's bytes come from: a message's body, or a store."""

    def chunks(self, size: int) -> Generator[bytes]: ...

    def copy_to(self, s3: S3Client, target: Place) -> Copied: ...


class Payload:
    """The bytes a message stands for; `size` is how many it declares.

    Everything streams in constant memory but `read`, `text` and `json`, which refuse more than their limit. Size and
    SHA-256 are checked as the bytes go by, so a wrong payload is known at its end and not before: act on a payload only
    after the method has returned, the iterator is exhausted or the stream has given its last byte.

    Raises PayloadMissing, PayloadUnavailable and PayloadCorrupt.
    """

    def __init__(self, origin: Bytes, *, size: int, claim: Claim) -> None:
        self._origin = origin
        self.size = size
        self._claim = claim

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """All bytes at once. Raises PayloadTooLarge, before anything is read, when there are more than `limit`."""
        if self.size > limit:
            raise PayloadTooLarge(
                f"the payload has {self.size} bytes, more than the limit of {limit}: stream it (iter_chunks, open, "
                "download_to), or pass a higher limit",
                message_id=self._claim.id,
            )
        buffer = io.BytesIO()
        self._each(buffer.write)
        return buffer.getvalue()

    def text(self, limit: int = READ_LIMIT) -> str:
        """As `read`, decoded as UTF-8. Raises MalformedMessage when it is not UTF-8."""
        try:
            return self.read(limit).decode("utf-8")
        except UnicodeDecodeError as error:
            # `from None`: the error holds the payload.
            raise MalformedMessage(
                f"the payload is not UTF-8 at byte {error.start}", message_id=self._claim.id
            ) from None

    def json(self, limit: int = READ_LIMIT) -> Any:
        """As `read`, parsed as JSON. Raises MalformedMessage when it is not JSON."""
        return parsed(self.read(limit), "the payload", message_id=self._claim.id)

    def iter_chunks(self, chunk_size: int = MIB) -> Generator[bytes]:
        """The bytes in pieces of at most `chunk_size`. Close the generator to stop early: that closes the
        connection."""
        return self._checked(chunk_size, Digesting(self.size))

    def open(self) -> io.BufferedReader:
        """A read-only binary stream, for what wants a file (csv, tarfile, pandas); use it in a `with`. It does not
        seek."""
        return io.BufferedReader(_Stream(self.iter_chunks()), MIB)

    def download_to(self, path: str | os.PathLike[str]) -> Digest:
        """Writes the payload to a file, which appears whole and checked or not at all; an existing one is replaced."""
        target = Path(path)
        partial = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.part")
        try:
            with partial.open("xb") as file:
                digest = self._each(file.write)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return digest

    def verify(self) -> Digest:
        """Reads everything, keeps nothing, and returns the size and SHA-256 as read here."""
        return self._each(len)

    def copy_to(self, *, bucket: str, key: str, expected_owner: str, s3: S3Client | None = None) -> Copied:
        """Has S3 copy the payload to `bucket`/`key`, overwriting, when the account `expected_owner` owns that bucket.

        No byte passes through this process (but an inline payload's). Give an `s3` client of the bucket's Region
        unless that is boto3's default Region. Up to 5 GiB S3's SHA-256 of the copy is checked against the message's;
        above, its CRC64NVME against the source's. On PayloadCorrupt the copy stays where it is: it is the caller's to
        judge.
        """
        if s3 is None:
            import boto3  # late, as in s3.py

            s3 = boto3.client("s3")
        copied = self._origin.copy_to(s3, Place(bucket, key, expected_owner))
        self._check(copied)
        return copied

    def _each(self, use: Callable[[bytes], object]) -> Digest:
        digesting = Digesting(self.size)
        with closing(self._checked(MIB, digesting)) as chunks:
            for chunk in chunks:
                use(chunk)
        return Digest(self.size, digesting.hexdigest())

    def _checked(self, chunk_size: int, digesting: Digesting) -> Generator[bytes]:
        size = 0
        with digesting, closing(self._origin.chunks(chunk_size)) as chunks:
            for chunk in chunks:
                digesting.update(chunk)
                size += len(chunk)
                yield chunk
            self._check(Digest(size, digesting.hexdigest()))

    def _check(self, found: Digest | Copied) -> None:
        declared = self._claim.sha256
        if found.size != self.size or (declared and found.sha256 and found.sha256 != declared):
            raise PayloadCorrupt(
                f"read {found.size} bytes with SHA-256 {found.sha256}; the message declares {self.size} and {declared}",
                message_id=self._claim.id,
            )


class _Stream(io.RawIOBase):
    """A raw stream over chunks, for BufferedReader."""

    def __init__(self, chunks: Generator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        room = memoryview(buffer).cast("B")
        taken = self._rest[: len(room)]
        room[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def close(self) -> None:
        self._chunks.close()
        super().close()
