"""Offloading: a payload of any length is written into a store once, in constant memory.

Up to 8 MiB are one PutObject. More are sent in parts, several at a time. The parts of a blob are read where they are. A
stream's parts are copied into buffers, as many as the memory limit allows. A process with little of a processor sends a
blob in one PutObject.
"""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from botocore.exceptions import ClientError

from claim_check.errors import PayloadConflict, PayloadTooLarge, PayloadUnavailable
from claim_check.memory import DEFAULT_MEMORY_BYTES, MAXIMUM_CONNECTIONS, PIECE_BYTES, Memory, Share, new_buffer
from claim_check.processors import is_own_region, publishing_connections, share_here
from claim_check.publishing.source import BytesBlob, FileBlob, PayloadSource, SourceReader, changed
from claim_check.s3.client import GIB, MIB, MISSING, S3Clients, S3Source, code, s3_errors
from claim_check.s3.crc32 import base64_crc32
from claim_check.s3.multipart import (
    MAXIMUM_PART_BYTES,
    MAXIMUM_PARTS,
    MultipartUpload,
    Part,
    PartBody,
    Progress,
    pieces_of,
)
from claim_check.s3.object_options import ObjectOptions
from claim_check.s3.object_reader import ObjectReader
from claim_check.s3.reported import Reported
from claim_check.s3.response import required
from claim_check.s3.single_put import put_blob
from claim_check.s3.workers import Call, Workers, run_in_worker
from claim_check.wire.claim import Claim, checked_id

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object, Store
    from claim_check.wire.pointer import Pointer

PUT_BYTES = 8 * MIB  # up to this size, one request is faster than several and the two around them
PART_BYTES = 5 * MIB  # S3's minimum
_SMALL_SHARE = 0.5  # of a processor: the checksums of parts would take longer than the network
_SMALL_SHARE_PUT_BYTES = GIB  # a lost connection sends all of it again
_LARGEST_EQUAL_PART_BYTES = 16 * MIB
_REQUEST_BYTES = 2 * PIECE_BYTES  # of a request, in addition to its body: a piece of it, TLS records, and a stack
_FLAT_PARTS = 1_000
_GROWTH_PARTS = 36
_PUT_ATTEMPTS = 3
_PAUSE_SECONDS = 0.1

# The key exists, another writer writes it, or an earlier call, whose response was lost, has completed this upload.
_EXISTS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload"})
# The bytes of a part were others when they were sent than when their checksum was computed.
_CHANGED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch"})


class Offloaded(NamedTuple):
    """A payload in a store: its object, size in bytes and SHA-256 (hex).

    `created` is False if an earlier attempt has stored the same content. `crc32` (base64) is S3's checksum of an object
    that was sent in parts. S3 keeps the SHA-256 only of an object that was sent in one request.
    """

    stored: S3Object
    size: int
    sha256: str
    created: bool = True
    crc32: str | None = None

    @property
    def pointer(self) -> Pointer:
        """The pointer to the payload."""
        return self.stored.pointer


def offload(
    payload: PayloadSource,
    *,
    store: Store,
    message_id: str,
    s3: S3Source | None = None,
    memory: int = DEFAULT_MEMORY_BYTES,
    options: ObjectOptions | None = None,
    progress: Progress = lambda _: None,
) -> Offloaded:
    """Write a payload to `store.object_of(message_id)`, unless it is stored already.

    A payload of up to 8 MiB is one request. A larger one is sent in parts, up to 16 at a time. With less than half a
    processor, as in a function with less than 885 MB, a file or bytes of up to 1 GiB are sent to the own Region in one
    request. `memory` limits the bytes that are buffered: a file or bytes in memory need about 10 MiB for any size, a
    stream needs all of it. S3 verifies a checksum of every request. Nothing is overwritten: the same content under the
    same id is a retry and succeeds, and other content raises PayloadConflict. A large payload that is stored already is
    not sent again. After a failure no incomplete upload remains.

    `options` are properties of the object. `progress` is called in the caller's thread with the bytes that S3 has
    stored, at least once a second while the call waits for S3; its errors end the call.

    `s3` is a client, a session of boto3, or a function that returns the client of a Region. It needs s3:PutObject,
    s3:AbortMultipartUpload, and s3:GetObject to recognise a retry.

    Raises:
        InvalidMessage: `message_id` or `payload` is invalid, or the payload changed while it was sent.
        PayloadConflict: Another payload is stored under the same id.
        PayloadTooLarge: The payload exceeds S3's limits, or a stream what its memory allows.
        PayloadUnavailable: S3 failed.
        Exception: The errors of the caller's file, iterable or `progress`.
    """
    checked_id(message_id)
    limit = Memory(memory)
    with SourceReader(payload) as source:
        writer = ObjectWriter(
            S3Clients(s3).client(store.region),
            target=store.object_of(message_id),
            message_id=message_id,
            memory=limit,
            options=options,
            progress=progress,
        )
        return writer.write(source, may_exist=True)


class ObjectWriter:
    """The writer of one object. Calls of the same publisher share `memory`."""

    def __init__(
        self,
        s3: S3Client,
        *,
        target: S3Object,
        message_id: str,
        memory: Memory,
        options: ObjectOptions | None = None,
        progress: Progress = lambda _: None,
    ) -> None:
        self._s3 = s3
        self._target = target
        self._place: Any = {"Bucket": target.bucket, "Key": target.key, "ExpectedBucketOwner": target.owner}
        self._message_id = message_id
        self._memory = memory
        self._properties: Any = options.parameters() if options else {}
        self._progress = progress

    def write(self, source: SourceReader, *, may_exist: bool) -> Offloaded:
        """Write the payload. `may_exist` is true if an earlier call may have stored it."""
        body = source.whole(put_bytes(self._memory))
        if body is None:
            return self.upload(source, may_exist=may_exist)
        with Workers(1) as workers, workers:
            offloaded = workers.result(workers.submit(self.put, body), lambda: self._progress(0))
        self._progress(offloaded.size)
        return offloaded

    def put(self, body: bytes) -> Offloaded:
        """Write a payload in one request. Call it in a worker."""
        sha256 = hashlib.sha256(body)
        for attempt in range(_PUT_ATTEMPTS):
            time.sleep(_PAUSE_SECONDS * attempt)
            with self._errors("store the payload"):
                try:
                    response = self._s3.put_object(
                        **self._place,
                        Body=body,
                        IfNoneMatch="*",
                        ChecksumSHA256=base64.b64encode(sha256.digest()).decode(),
                        **self._properties,
                    )
                    required(response, "ETag")
                except ClientError as error:
                    if code(error) not in _EXISTS:
                        raise
                else:
                    return Offloaded(self._target, len(body), sha256.hexdigest())
            if existing := self._existing():
                digest = _Digest(needs_crc32=True)
                digest.update(body)
                return self._same(existing, digest)
        raise self._contended()

    def upload(self, source: SourceReader, *, may_exist: bool) -> Offloaded:
        """Write a large payload."""
        if source.blob and self._is_one_request(source.blob):
            return self._put_blob(source, source.blob, may_exist=may_exist)
        with self._memory.share() as share, share, self._multipart(source, share) as upload, upload:
            existing = upload.create(self._look if may_exist else lambda: None)
            if existing is None:
                digest = self._send(upload, source, share)
                if upload.complete(only_if_new=True, codes=_EXISTS):
                    return Offloaded(self._target, digest.size, digest.sha256, crc32=base64_crc32(upload.crc32))
        if existing is None:
            existing = run_in_worker(self._existing)
        else:
            digest = self._digest(source, existing)
        if existing is None:
            raise self._contended()
        return run_in_worker(self._same, existing, digest)

    def _is_one_request(self, blob: BytesBlob | FileBlob) -> bool:
        has_little_processor = share_here() < _SMALL_SHARE and is_own_region(self._s3.meta.region_name)
        return has_little_processor and blob.size <= _SMALL_SHARE_PUT_BYTES

    def _put_blob(self, source: SourceReader, blob: BytesBlob | FileBlob, *, may_exist: bool) -> Offloaded:
        """Write a blob in one request. It is read once."""
        with Workers(1) as workers, workers:
            existing = workers.result(workers.submit(self._look)) if may_exist else None
            if existing is None:
                call = workers.submit(self._put_body, blob, PartBody(blob, 0, blob.size, workers))
                if sent := workers.result(call, lambda: self._progress(0)):
                    self._progress(sent.size)
                    return sent
        existing = existing or run_in_worker(self._existing)
        if existing is None:
            raise self._contended()
        return run_in_worker(self._same, existing, self._digest(source, existing))

    def _put_body(self, blob: BytesBlob | FileBlob, body: PartBody) -> Offloaded | None:
        """Return the payload that S3 has stored, or None if the key exists."""
        parameters = {**self._place, **self._properties, "IfNoneMatch": "*"}
        with self._part_errors():
            try:
                sha256 = put_blob(self._s3, body, at_end=blob.require_end, **parameters)
            except ClientError as error:
                if code(error) in _EXISTS:
                    return None
                raise
        return Offloaded(self._target, blob.size, sha256)

    def _multipart(self, source: SourceReader, share: Share) -> MultipartUpload:
        return MultipartUpload(
            self._s3,
            self._target,
            algorithm="CRC32",
            limit=_connections(share) if source.blob else publishing_connections(share_here()),
            parameters=self._properties,
            progress=self._progress,
            errors=self._part_errors,
        )

    def _send(self, upload: MultipartUpload, source: SourceReader, share: Share) -> _Digest:
        """Send all parts, and return the digest of the bytes that were sent."""
        digest = self._send_blob(upload, source.blob) if source.blob else self._send_stream(upload, source, share)
        upload.wait_for_all()
        if digest.crc32 not in (None, upload.crc32):
            raise changed()
        digest.crc32 = upload.crc32
        return digest

    def _digest(self, source: SourceReader, existing: Reported) -> _Digest:
        """Return the digest of a payload that is not sent. Raises PayloadConflict if the object has another size."""
        digest, blob = _Digest(needs_crc32=True), source.blob
        if blob is None:
            buffer = memoryview(bytearray(MIB))
            while filled := source.fill(buffer):
                digest.update(buffer[:filled])
            return digest
        if existing.size != blob.size:
            raise self._conflict()
        for piece in pieces_of(blob, blob.size):
            digest.update(piece)
        blob.require_end()
        return digest

    def _send_blob(self, upload: MultipartUpload, blob: BytesBlob | FileBlob) -> _Digest:
        """Send a blob's parts. Workers read them, while this thread reads all bytes again for the digest."""
        step = equal_part_bytes(blob.size, upload.limit)
        if step > MAXIMUM_PART_BYTES:
            raise self._too_large(MAXIMUM_PARTS * MAXIMUM_PART_BYTES, "split it")
        for number, first in enumerate(range(0, blob.size, step), start=1):
            upload.send(number, blob, first, min(step, blob.size - first))
        digest = _Digest(needs_crc32=blob.can_change)
        for piece in pieces_of(blob, blob.size):
            digest.update(piece)
            upload.wait(0)
        blob.require_end()
        return digest

    def _send_stream(self, upload: MultipartUpload, source: SourceReader, share: Share) -> _Digest:
        """Send a stream's parts from buffers. A buffer is used again after S3 has stored its part."""
        digest, buffers, number = _Digest(needs_crc32=False), _Buffers(upload, share), 1
        filled = size = 0
        while filled == size:
            size = stream_part_bytes(number, self._memory.limit)
            buffer = buffers.next(size)
            filled = source.fill(buffer)
            if filled:
                if number > MAXIMUM_PARTS:
                    raise self._too_large(digest.size, "pass a file, or a higher memory=")
                upload.send(number, BytesBlob(buffer), 0, filled)
                digest.update(buffer[:filled])
                number += 1
        return digest

    def _look(self) -> Reported | None:
        """Return S3's figures of the object if it exists, and None if it does not or the caller must not look."""
        try:
            return self._reported()
        except ClientError:
            return None

    def _existing(self) -> Reported | None:
        with self._errors("compare with the stored payload"):
            try:
                return self._reported()
            except ClientError as error:
                if code(error) in MISSING:
                    return None
                raise

    def _reported(self) -> Reported:
        return Reported.of(self._s3.head_object(**self._place, ChecksumMode="ENABLED"))

    def _same(self, existing: Reported, digest: _Digest) -> Offloaded:
        """Return the payload that is stored already. Raises PayloadConflict if the object has other content."""
        if existing.size != digest.size:
            raise self._conflict()
        if existing.crc32 and not existing.sha256:
            is_same = existing.crc32 == base64_crc32(digest.crc32 or 0)
        else:
            is_same = (existing.sha256 or self._read_back(existing.size)) == digest.sha256
        if not is_same:
            raise self._conflict()
        return Offloaded(self._target, digest.size, digest.sha256, created=False, crc32=existing.crc32)

    def _read_back(self, size: int) -> str:
        reader = ObjectReader(
            S3Clients(self._s3), stored=self._target, size=size, claim=Claim(self._message_id), memory=self._memory
        )
        digest = hashlib.sha256()
        for chunk in reader.chunks(MIB):
            digest.update(chunk)
        return digest.hexdigest()

    def _errors(self, action: str) -> AbstractContextManager[None]:
        return s3_errors(action, pointer=self._target.pointer, message_id=self._message_id)

    @contextmanager
    def _part_errors(self) -> Iterator[None]:
        with self._errors("store the payload"):
            try:
                yield
            except ClientError as error:
                if code(error) in _CHANGED:
                    raise changed() from error
                raise

    def _conflict(self) -> PayloadConflict:
        return PayloadConflict(
            "another payload is stored under this message id: choose an unused id for every payload",
            message_id=self._message_id,
            pointer=self._target.pointer,
        )

    def _too_large(self, size: int, advice: str) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"the payload has more than {size} bytes, the maximum of S3's {MAXIMUM_PARTS} parts here: {advice}",
            message_id=self._message_id,
        )

    def _contended(self) -> PayloadUnavailable:
        return PayloadUnavailable(
            "another writer used the same key and left no object: publish again, under the same message id",
            message_id=self._message_id,
            pointer=self._target.pointer,
        )


class _Digest:
    """SHA-256, number and optionally CRC32 of bytes."""

    def __init__(self, *, needs_crc32: bool) -> None:
        self._sha256 = hashlib.sha256()
        self.crc32: int | None = 0 if needs_crc32 else None
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def update(self, piece: bytes | memoryview) -> None:
        self._sha256.update(piece)
        self.size += len(piece)
        if self.crc32 is not None:
            self.crc32 = zlib.crc32(piece, self.crc32)


class _Buffers:
    """Buffers of a stream's parts. Those of stored parts are used again: the process does not return their memory."""

    def __init__(self, upload: MultipartUpload, share: Share) -> None:
        self._upload = upload
        self._share = share
        self._free: list[memoryview] = []

    def next(self, size: int) -> memoryview:
        """Return a buffer of `size` bytes. Waits for a stored part if the memory limit allows no further buffer."""
        while part := self._upload.wait(0):
            self._return(part)
        while True:
            while self._free:
                if len(buffer := self._free.pop()) == size:
                    return buffer
                self._share.give_back(len(buffer))
            running = self._upload.running
            if running <= self._upload.limit and self._share.take(size, needed_next=not running):
                return new_buffer(size)
            if part := self._upload.wait():
                self._return(part)

    def _return(self, part: Part) -> None:
        if isinstance(part.blob, BytesBlob):
            self._free.append(part.blob.view)


class ParallelWriter:
    """Writes of several payloads at a time, within the memory limit. Payloads are read in the caller's thread.

    A context manager: leaving it ends its workers. Enter it twice, as Workers.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._share = memory.share()
        self._workers = Workers(MAXIMUM_CONNECTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.__exit__()
        self._share.close()

    def begin(self, writer: ObjectWriter, source: SourceReader, *, may_exist: bool) -> Call[Offloaded] | Offloaded:
        """Begin to write a payload of up to 8 MiB, and return the call. Write a larger payload, alone."""
        limit = put_bytes(self._memory)
        while not self._share.take(limit, needed_next=not self._workers.running):
            self._workers.wait()
        body = source.whole(limit)
        held = len(body) if body is not None and body is not source.payload else 0
        self._share.give_back(limit - held)
        if body is not None:
            return self._workers.submit(self._put, writer, body, held)
        while self._workers.running:
            self._workers.wait()
        return writer.upload(source, may_exist=may_exist)

    def wait_for(self, call: Call[Offloaded]) -> None:
        """Wait until a call is done."""
        while not call.is_done:
            self._workers.wait()

    def _put(self, writer: ObjectWriter, body: bytes, held: int) -> Offloaded:
        try:
            return writer.put(body)
        finally:
            self._share.give_back(held)


def put_bytes(memory: Memory) -> int:
    """Return the size up to which a payload is one request."""
    return min(PUT_BYTES, max(PART_BYTES, memory.limit))


def equal_part_bytes(size: int, connections: int) -> int:
    """Return the size of the parts of a payload of `size` bytes.

    All connections get as many parts, so that all end together. Parts have 5 to 16 MiB, and more if S3's 10,000 parts
    would not hold the payload.
    """
    rounds = _ceiling(size, connections * _LARGEST_EQUAL_PART_BYTES)
    parts = min(rounds * connections, _ceiling(size, PART_BYTES), MAXIMUM_PARTS)
    return max(PART_BYTES, _ceiling(size, parts))


def stream_part_bytes(number: int, memory: int) -> int:
    """Return the size of part `number` (from 1) of a stream, whose length is not known.

    It is 5 MiB for the first 5 GB, and then grows up to half of the memory limit, so that 10,000 parts hold more. With
    40 MiB of memory they hold 180 GB.
    """
    grown = PART_BYTES * (1 + max(0, number - _FLAT_PARTS) // _GROWTH_PARTS)
    return max(PART_BYTES, min(grown, memory // 2, MAXIMUM_PART_BYTES))


def _ceiling(size: int, divisor: int) -> int:
    return -(-size // divisor)


def _connections(share: Share) -> int:
    """Return the number of requests at a time that the memory limit allows for a blob."""
    connections, most = 0, publishing_connections(share_here())
    while connections < most and share.take(_REQUEST_BYTES, needed_next=not connections):
        connections += 1
    return connections
