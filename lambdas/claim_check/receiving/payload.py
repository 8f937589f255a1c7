"""A received payload: the same to read whether it came in the message or lies in a store."""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from claim_check.errors import (
    ClaimCheckError,
    MalformedMessage,
    PayloadCorrupt,
    PayloadMissing,
    PayloadTooLarge,
    PayloadUnavailable,
)
from claim_check.receiving.digest import Digesting
from claim_check.s3.client import MIB, s3_client
from claim_check.s3.copy import Copied, tells_sha256
from claim_check.wire.untrusted import parsed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object
    from claim_check.wire.claim import Claim

READ_LIMIT = 64 * MIB

T = TypeVar("T")


class Digest(NamedTuple):
    """What was read here: the number of bytes, and their SHA-256 in hex."""

    size: int
    sha256: str


class Bytes(Protocol):
    """Where a payload's bytes come from: a message's body, a store, or a replica. `label` is their name in errors."""

    label: str

    def chunks(self, size: int) -> Generator[bytes]: ...

    def copy_to(self, s3: S3Client, target: S3Object) -> Copied: ...


class Payload:
    """The bytes a message stands for; `size` is how many it declares.

    Everything streams in constant memory but `read`, `text` and `json`, which refuse more than their limit. Size and
    SHA-256 are checked as the bytes go by, so a wrong payload is known at its end and not before: act on a payload only
    after the method has returned, the iterator is exhausted or the stream has given its last byte.

    `replicas` are read first, in their order. One that lacks the payload, cannot be read or has other bytes, since
    replication lags, is passed over, and `origin` has the last word; `on_stale` is told of other bytes. A stream that
    has begun cannot take them back: it ends with PayloadUnavailable, and read again the payload comes from elsewhere.

    Raises PayloadMissing, PayloadUnavailable and PayloadCorrupt.
    """

    def __init__(
        self,
        origin: Bytes,
        *,
        size: int,
        claim: Claim,
        replicas: Sequence[Bytes] = (),
        on_stale: Callable[[PayloadCorrupt], object] = lambda _: None,
    ) -> None:
        self._origin = origin
        self.size = size
        self._claim = claim
        # Without a digest nothing would tell an old object of the same size.
        self._replicas = list(replicas) if claim.sha256 else []
        self._on_stale = on_stale

    def read(self, limit: int = READ_LIMIT) -> bytes:
        """All bytes at once. Raises PayloadTooLarge, before anything is read, when there are more than `limit`."""
        if self.size > limit:
            raise PayloadTooLarge(
                f"the payload has {self.size} bytes, more than the limit of {limit}: stream it (iter_chunks, open, "
                "download_to), or pass a higher limit",
                message_id=self._claim.id,
            )

        def whole(source: Bytes) -> bytes:
            buffer = io.BytesIO()
            self._each(source, buffer.write)
            return buffer.getvalue()

        return self._from_nearest(self._replicas, whole)

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
        for replica in self._replicas:
            begun = False
            try:
                with closing(self._checked(replica, chunk_size, Digesting(self.size))) as chunks:
                    for chunk in chunks:
                        begun = True
                        yield chunk
            except PayloadUnavailable:
                if begun:
                    raise
            except (PayloadMissing, PayloadCorrupt) as error:
                self._note(replica, error)
                if begun:
                    raise PayloadUnavailable(
                        f"{replica.label} turned out to be no such payload: discard what was read, and read it again",
                        message_id=self._claim.id,
                    ) from error
            else:
                return
        yield from self._checked(self._origin, chunk_size, Digesting(self.size))

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

                def whole(source: Bytes) -> Digest:
                    file.seek(0)
                    file.truncate()
                    return self._each(source, file.write)

                digest = self._from_nearest(self._replicas, whole)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return digest

    def verify(self, meanwhile: Callable[[], object] = lambda: None) -> Digest:
        """Reads everything, keeps nothing, and returns the size and SHA-256 as read here. `meanwhile` is called with
        each MiB; what it raises ends the reading."""
        return self._from_nearest(self._replicas, lambda source: self._each(source, lambda _: meanwhile()))

    def copy_to(self, target: S3Object, *, s3: S3Client | None = None) -> Copied:
        """Have S3 copy the payload to `target`, replacing an earlier object.

        Only an inline payload passes through this process. `s3` is a client of the target's Region, made if None. Up
        to 5 GiB, S3's SHA-256 of the copy is compared with the message's. Above, S3's CRC64NVME of the copy is compared
        with that of the store's object. After an error the target can hold a copy: the caller decides what to do.
        """
        s3 = s3 or s3_client(target.region)

        def copy(source: Bytes) -> Copied:
            copied = source.copy_to(s3, target)
            self._check(source, copied)
            return copied

        # Where S3 does not say the copy's digest, nothing would tell the copy of an old object.
        return self._from_nearest(self._replicas if tells_sha256(self.size) else (), copy)

    def _from_nearest(self, replicas: Sequence[Bytes], read: Callable[[Bytes], T]) -> T:
        """What `read` makes of the first replica that is the payload, else of the store's own object."""
        for replica in replicas:
            try:
                return read(replica)
            except (PayloadMissing, PayloadUnavailable, PayloadCorrupt) as error:
                self._note(replica, error)
        return read(self._origin)

    def _note(self, replica: Bytes, error: ClaimCheckError) -> None:
        """A replica with other bytes is not asked again; one that lags or does not answer may be."""
        if isinstance(error, PayloadCorrupt):
            self._replicas = [each for each in self._replicas if each is not replica]
            self._on_stale(error)

    def _each(self, source: Bytes, use: Callable[[bytes], object]) -> Digest:
        digesting = Digesting(self.size)
        with closing(self._checked(source, MIB, digesting)) as chunks:
            for chunk in chunks:
                use(chunk)
        return Digest(self.size, digesting.hexdigest())

    def _checked(self, source: Bytes, chunk_size: int, digesting: Digesting) -> Generator[bytes]:
        size = 0
        with digesting, closing(source.chunks(chunk_size)) as chunks:
            for chunk in chunks:
                digesting.update(chunk)
                size += len(chunk)
                yield chunk
            self._check(source, Digest(size, digesting.hexdigest()))

    def _check(self, source: Bytes, found: Digest | Copied) -> None:
        declared = self._claim.sha256
        if found.size != self.size or (declared and found.sha256 and found.sha256 != declared):
            raise PayloadCorrupt(
                f"{source.label}: read {found.size} bytes with SHA-256 {found.sha256}; the message declares "
                f"{self.size} and {declared}",
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
