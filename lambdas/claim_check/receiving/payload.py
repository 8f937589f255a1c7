"""A received payload. Inline payloads and payloads in S3 have the same interface."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from claim_check.errors import (
    ClaimCheckError,
    MalformedMessage,
    PayloadCorrupt,
    PayloadMissing,
    PayloadTooLarge,
    PayloadUnavailable,
)
from claim_check.receiving.proof import Proof, prove
from claim_check.receiving.target import FileTarget, MemoryTarget, replaced_file, special_file
from claim_check.s3.client import MIB, S3Clients, S3Source, s3_errors
from claim_check.s3.copy import Copied, has_sha256
from claim_check.s3.reported import Reported
from claim_check.wire.text import parse_json

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3.client import S3Client

    from claim_check.s3.parallel_read import Target
    from claim_check.store import S3Object
    from claim_check.wire.claim import Claim
    from claim_check.wire.pointer import Pointer

READ_LIMIT_BYTES = 64 * MIB

T = TypeVar("T")


def ignore(_: object) -> None:
    """Do nothing. Unlike a lambda, it can be pickled."""


class Digest(NamedTuple):
    """The number of bytes that were read here, and their SHA-256 (hex)."""

    size: int
    sha256: str


class Reader(Protocol):
    """The bytes of a payload in a message's body, a store or a replica. `label` and `pointer` name them in errors.

    `is_whole` is true if `pieces` yields all bytes at once.
    """

    label: str
    pointer: Pointer | None
    is_whole: bool

    def pieces(
        self, check: Callable[[int, str], object], target: Target | None = None
    ) -> Generator[bytes | memoryview]:
        """Yield the bytes in order, or write them to `target`. A piece is valid until the next one is requested.

        `check` is called with size and SHA-256 (hex) of all bytes before the last ones are yielded.
        """

    def reported(self) -> Reported:
        """Return size and checksums, without reading an object."""

    def copy_to(self, s3: S3Client, target: S3Object) -> Copied:
        """Write the bytes to `target`."""


class InlineReader:
    """The bytes of a message's body."""

    label = "the payload"
    pointer: Pointer | None = None
    is_whole = True

    def __init__(self, data: bytes, *, message_id: str) -> None:
        self._data = data
        self._message_id = message_id

    def pieces(
        self, check: Callable[[int, str], object], target: Target | None = None
    ) -> Generator[bytes | memoryview]:
        """Yield the bytes, or write them to `target`, after `check` was called with their size and SHA-256."""
        with closing(target) if target else nullcontext():
            check(len(self._data), hashlib.sha256(self._data).hexdigest())
            if target:
                target.write(0, memoryview(self._data))
            elif self._data:
                yield self._data

    def reported(self) -> Reported:
        """Return size and checksums, computed in memory."""
        crc32 = base64.b64encode(zlib.crc32(self._data).to_bytes(4, "big")).decode()
        return Reported(len(self._data), sha256=hashlib.sha256(self._data).hexdigest(), crc32=crc32)

    def copy_to(self, s3: S3Client, target: S3Object) -> Copied:
        """Write the bytes to `target`. There is no object that S3 could copy."""
        with s3_errors(f"write the payload to {target.pointer}", pointer=target.pointer, message_id=self._message_id):
            s3.put_object(Bucket=target.bucket, Key=target.key, ExpectedBucketOwner=target.owner, Body=self._data)
        return Copied(len(self._data), hashlib.sha256(self._data).hexdigest())


class Payload:
    """The bytes of a message's payload. `size` is the number that the message declares.

    All methods stream within the memory limit of their dereferencer, except `read`, `text` and `json`, which reject a
    payload above their own limit. A payload of less than 8 MiB is compared with the message before its first byte is
    returned. A larger one is compared before its last bytes are returned. Use it only after the method has returned,
    the iterator is exhausted, or the stream has returned its last byte.

    `replicas` are read first, in their order, and `origin` if no replica has the payload: replication lags. `on_stale`
    is called for a replica with other bytes. `iter_chunks` and `open` can return bytes before the replica is known to
    have others. They then raise PayloadUnavailable, and the next call reads from another place.

    A payload can be pickled and read in another process, if no S3 client was passed to the dereferencer.

    Raises:
        PayloadMissing: The object does not exist.
        PayloadUnavailable: S3 failed, or a stream from a replica turned out to have other bytes.
        PayloadCorrupt: Size or SHA-256 differ from the message.
    """

    def __init__(
        self,
        origin: Reader,
        *,
        size: int,
        claim: Claim,
        replicas: Sequence[Reader] = (),
        on_stale: Callable[[PayloadCorrupt], object] = ignore,
    ) -> None:
        self._origin = origin
        self.size = size
        self._claim = claim
        # Without a digest, an earlier object of the same size could not be detected.
        self._replicas = list(replicas) if claim.sha256 else []
        self._on_stale = on_stale
        self.fetched: Callable[[], bytes | None] | None = None  # waits for the bytes that `prefetch` reads ahead

    def read(self, limit: int = READ_LIMIT_BYTES) -> bytes:
        """Return all bytes. Raises PayloadTooLarge, before reading, if there are more than `limit`."""
        if self.size > limit:
            raise PayloadTooLarge(
                f"the payload has {self.size} bytes, more than the limit of {limit}: stream it (iter_chunks, open, "
                "download_to), or pass a higher limit",
                message_id=self._claim.id,
            )

        return self._read_nearest(self._whole)

    def text(self, limit: int = READ_LIMIT_BYTES) -> str:
        """Return the payload decoded as UTF-8. Raises MalformedMessage if it is not UTF-8."""
        try:
            return self.read(limit).decode("utf-8")
        except UnicodeDecodeError as error:
            # `from None`: the error holds the payload.
            raise MalformedMessage(
                f"the payload is not UTF-8 at byte {error.start}", message_id=self._claim.id
            ) from None

    def json(self, limit: int = READ_LIMIT_BYTES) -> Any:
        """Return the payload parsed as JSON. Raises MalformedMessage if it is not JSON."""
        return parse_json(self.read(limit), "the payload", message_id=self._claim.id)

    def iter_chunks(self, chunk_size: int = MIB) -> Generator[bytes]:
        """Yield the bytes, up to `chunk_size` at a time. Closing the generator closes the connections."""
        if chunk_size < 1:
            raise ValueError(f"chunk_size = {chunk_size!r}: must be at least 1")
        return _regrouped(self._stream(), chunk_size)

    def open(self) -> io.BufferedReader:
        """Return a read-only binary stream, for code that needs a file (csv, tarfile, pandas). It does not seek.

        Use it in a `with` statement.
        """
        return io.BufferedReader(_Stream(self._stream()), MIB)

    def download_to(self, path: str | os.PathLike[str]) -> Digest:
        """Write the payload to a file, replacing an earlier file. An incomplete or corrupt file never appears.

        Links are followed, and an earlier file's mode is kept. A pipe or a device gets the bytes as a stream.
        """
        with special_file(path) as file:
            if file is None:
                return self._read_nearest(partial(self._download, path))
            digests: list[Digest] = []
            _consume(self._stream(digests.append), file.write)
            return digests[-1]

    def verify(self) -> Proof:
        """Compare size and checksum with the message by one HeadObject, and return the proof. No byte is read.

        An inline payload is compared in memory. A replica is a proof only by its checksum. Otherwise the store's object
        is looked at, too: S3 keeps no checksum of the whole object for some uploads, and another library's message
        declares none.
        """
        for replica in self._replicas:
            try:
                proof = self._proof(replica)
            except (PayloadMissing, PayloadUnavailable, PayloadCorrupt) as error:
                self._note(replica, error)
            else:
                if proof.checksum:
                    return proof
        return self._proof(self._origin)

    def _proof(self, reader: Reader) -> Proof:
        return prove(reader.reported(), size=self.size, claim=self._claim, label=reader.label, pointer=reader.pointer)

    def verify_by_reading(self) -> Digest:
        """Read all bytes, and return their number and SHA-256."""
        return self._read_nearest(self._consumed)

    def copy_to(self, target: S3Object, *, s3: S3Source | None = None) -> Copied:
        """Copy the payload to `target` in S3, replacing an earlier object.

        Only an inline payload passes through this process. `s3` is a source of clients, as of a Dereferencer. Up
        to 5 GiB, S3's SHA-256 of the copy is compared with the message's. Above, S3's CRC64NVME of the copy is compared
        with S3's CRC64NVME of the source. After an error the target can exist, and the caller can delete it.
        """
        client = S3Clients(s3).client(target.region)

        def copy(reader: Reader) -> Copied:
            copied = reader.copy_to(client, target)
            self._compare(reader, copied)
            return copied

        # If S3 reports no SHA-256 of the copy, the copy of an earlier object could not be detected.
        return self._from_nearest(self._replicas if has_sha256(self.size) else (), copy)

    def fetch(self) -> bytes:
        """Return all bytes from the nearest place, also if they have been read ahead."""
        return self._from_nearest(self._replicas, self._whole)

    @property
    def is_whole(self) -> bool:
        """Whether the payload is small, so that one request reads it."""
        return self._origin.is_whole

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"fetched": None}

    def _read_nearest(self, read: Callable[[Reader], T]) -> T:
        data = self.fetched and self.fetched()
        if data is None:
            return self._from_nearest(self._replicas, read)
        return read(InlineReader(data, message_id=self._claim.id))

    def _from_nearest(self, replicas: Sequence[Reader], read: Callable[[Reader], T]) -> T:
        """Return the result of `read` for the first replica that has the payload, otherwise for the store's object."""
        for replica in replicas:
            try:
                return read(replica)
            except (PayloadMissing, PayloadUnavailable, PayloadCorrupt) as error:
                self._note(replica, error)
        return read(self._origin)

    def _note(self, replica: Reader, error: ClaimCheckError) -> None:
        """Stop using a replica with other bytes. A replica that lags or fails stays in use."""
        if isinstance(error, PayloadCorrupt):
            self._replicas = [reader for reader in self._replicas if reader is not replica]
            self._on_stale(error)

    def _stream(self, note: Callable[[Digest], object] = ignore) -> Generator[bytes | memoryview]:
        """Yield the pieces from the nearest place. `note` is called with the digest before the last one."""
        data = self.fetched and self.fetched()
        if data is not None:
            yield from self._pieces(InlineReader(data, message_id=self._claim.id), note)
            return
        for replica in self._replicas:
            begun = False
            try:
                with closing(self._pieces(replica, note)) as pieces:
                    for piece in pieces:
                        begun = True
                        yield piece
            except PayloadUnavailable:
                if begun:
                    raise
            except (PayloadMissing, PayloadCorrupt) as error:
                self._note(replica, error)
                if begun:
                    raise PayloadUnavailable(
                        f"{replica.label} has other bytes: discard this stream, and read the payload again",
                        message_id=self._claim.id,
                    ) from error
            else:
                return
        yield from self._pieces(self._origin, note)

    def _whole(self, reader: Reader) -> bytes:
        if reader.is_whole:
            return b"".join(self._pieces(reader))
        target = MemoryTarget(self.size)
        _consume(self._pieces(reader, target=target))
        return target.value()

    def _download(self, path: str | os.PathLike[str], reader: Reader) -> Digest:
        with replaced_file(path) as file:
            # Windows cannot write at an offset: there the file gets the bytes in order.
            target = FileTarget(file) if hasattr(os, "pwrite") else None
            return self._consumed(reader, file.write, target)

    def _consumed(
        self, reader: Reader, write: Callable[[bytes | memoryview], object] = ignore, target: Target | None = None
    ) -> Digest:
        digests: list[Digest] = []
        _consume(self._pieces(reader, digests.append, target), write)
        return digests[-1]

    def _pieces(
        self, reader: Reader, note: Callable[[Digest], object] = ignore, target: Target | None = None
    ) -> Generator[bytes | memoryview]:
        def check(size: int, sha256: str) -> None:
            self._compare(reader, Digest(size, sha256))
            note(Digest(size, sha256))

        return reader.pieces(check, target)

    def _compare(self, reader: Reader, actual: Digest | Copied) -> None:
        declared = self._claim.sha256
        if actual.size != self.size or (declared and actual.sha256 and actual.sha256 != declared):
            raise PayloadCorrupt(
                f"{reader.label}: read {actual.size} bytes with SHA-256 {actual.sha256}; the message declares "
                f"{self.size} and {declared}",
                message_id=self._claim.id,
            )


def _consume(pieces: Generator[bytes | memoryview], write: Callable[[bytes | memoryview], object] = ignore) -> None:
    with closing(pieces):
        for piece in pieces:
            write(piece)


def _regrouped(pieces: Generator[bytes | memoryview], size: int) -> Generator[bytes]:
    with closing(pieces):
        chunk = io.BytesIO()
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                taken = chunk.write(rest[: size - chunk.tell()])
                rest = rest[taken:]
                if chunk.tell() == size:
                    yield chunk.getvalue()
                    chunk = io.BytesIO()
        if chunk.tell():
            yield chunk.getvalue()


class _Stream(io.RawIOBase):
    """A raw stream over pieces, for BufferedReader."""

    def __init__(self, pieces: Generator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self._error: BaseException | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._error:  # otherwise the next read would return the end
            raise self._error
        try:
            self._rest = self._rest or memoryview(next(self._pieces, b""))
        except BaseException as error:
            self._error = error
            raise
        target = memoryview(buffer).cast("B")
        piece = self._rest[: len(target)]
        target[: len(piece)] = piece
        self._rest = self._rest[len(piece) :]
        return len(piece)

    def close(self) -> None:
        self._pieces.close()
        super().close()
