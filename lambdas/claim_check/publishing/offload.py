"""Offloading: a payload of any length is written into a store once, in constant memory."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from itertools import chain
from threading import Semaphore
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from claim_check.errors import PayloadConflict, PayloadTooLarge, PayloadUnavailable
from claim_check.memory import Memory
from claim_check.publishing.source import CHUNK_BYTES, PayloadSource, chunks_of, emptied
from claim_check.s3.client import MIB, MISSING, S3Clients, code, s3_client, s3_errors
from claim_check.s3.copy import hex_sha256
from claim_check.s3.multipart import MAXIMUM_PARTS, MultipartUpload
from claim_check.s3.object_reader import ObjectReader
from claim_check.wire.claim import Claim, checked_id

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object, Store
    from claim_check.wire.pointer import Pointer

PART_BYTES = CHUNK_BYTES  # S3's minimum
_WORKERS = 2  # parts that are sent while the next part is read; the memory holds one part more
_FLAT_PARTS = 1_000
_GROWTH_PARTS = 36
_PUT_ATTEMPTS = 3
_PAUSE_SECONDS = 0.1

# The key exists, another writer writes it, or an earlier call, whose response was lost, has completed this upload.
_EXISTS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload"})


class Offloaded(NamedTuple):
    """A payload in a store: its object, size in bytes and SHA-256 (hex).

    `created` is False if an earlier attempt has stored the same content.
    """

    stored: S3Object
    size: int
    sha256: str
    created: bool = True

    @property
    def pointer(self) -> Pointer:
        """The pointer to the payload."""
        return self.stored.pointer


def offload(payload: PayloadSource, *, store: Store, message_id: str, s3: S3Client | None = None) -> Offloaded:
    """Write a payload to `store.object_of(message_id)`, unless it is stored already.

    A payload of less than 5 MiB is one request. A larger one is sent in parts of 5 MiB, two at a time. After the first
    5 GB the parts grow slowly, so that 5 TiB fit. S3 verifies a checksum of every request. Nothing is overwritten: the
    same content under the same id is a retry and succeeds, and other content raises PayloadConflict. After a failure no
    incomplete upload remains.

    `s3` is a client of the store's Region, made if None. It needs s3:PutObject, s3:AbortMultipartUpload, and
    s3:GetObject to compare in a retry.

    Raises:
        InvalidMessage: `message_id` or `payload` is invalid.
        PayloadConflict: Another payload is stored under the same id.
        PayloadTooLarge: The payload exceeds S3's limits.
        PayloadUnavailable: S3 failed.
        Exception: The errors of the caller's file or iterable.
    """
    checked_id(message_id)
    with closing(chunks_of(payload)) as chunks:
        return offload_chunks(chunks, store=store, message_id=message_id, s3=s3 or s3_client(store.region))


def offload_chunks(chunks: Iterable[bytes], *, store: Store, message_id: str, s3: S3Client) -> Offloaded:
    """Write a payload that is being streamed, as `offload` does."""
    slots = Semaphore(_WORKERS)
    return _ObjectWriter(s3, target=store.object_of(message_id), message_id=message_id).write(
        _parts(chunks, slots), slots
    )


class _ObjectWriter:
    """The writer of one object. `slots` limits the parts in memory: one is released for each part sent."""

    def __init__(self, s3: S3Client, *, target: S3Object, message_id: str) -> None:
        self._s3 = s3
        self._target = target
        self._message_id = message_id

    def write(self, parts: Iterator[bytes], slots: Semaphore) -> Offloaded:
        first = [next(parts)]
        if len(first[0]) < PART_BYTES:
            return self.put(first.pop())
        return self.upload(chain(emptied(first), parts), slots)

    def put(self, body: bytes) -> Offloaded:
        digest = hashlib.sha256(body)
        for attempt in range(_PUT_ATTEMPTS):
            if attempt:
                time.sleep(_PAUSE_SECONDS * attempt)
            with self._errors("store the payload"):
                try:
                    self._s3.put_object(
                        Bucket=self._target.bucket,
                        Key=self._target.key,
                        ExpectedBucketOwner=self._target.owner,
                        Body=body,
                        IfNoneMatch="*",
                        ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    )
                except ClientError as error:
                    if code(error) not in _EXISTS:
                        raise
                else:
                    return Offloaded(self._target, len(body), digest.hexdigest(), created=True)
            if self._is_stored(len(body), digest.hexdigest()):
                return Offloaded(self._target, len(body), digest.hexdigest(), created=False)
        raise self._contended()

    def upload(self, parts: Iterable[bytes], slots: Semaphore) -> Offloaded:
        digest, size = hashlib.sha256(), 0
        with self._errors("store the payload"):
            upload = MultipartUpload.begin(
                self._s3, self._target, algorithm="CRC32", checksum_type="COMPOSITE", workers=_WORKERS
            )
        with upload:
            # Reading a part can raise the caller's errors, which must not be translated. Only S3's errors are.
            for number, part in enumerate(parts, start=1):
                self._require_part_number(number, size)
                with self._errors("store the payload"):
                    upload.upload(number, part, sent=slots.release)
                digest.update(part)
                size += len(part)
                del part  # otherwise it stays in memory while the next part is read
            with self._errors("store the payload"):
                created = _completed(upload, size)
        if created or self._is_stored(size, digest.hexdigest()):
            return Offloaded(self._target, size, digest.hexdigest(), created)
        raise self._contended()

    def _is_stored(self, size: int, sha256: str) -> bool:
        """Return whether the object exists with this content. Raises PayloadConflict if it has other content."""
        with self._errors("compare with the stored payload"):
            try:
                existing = self._s3.head_object(
                    Bucket=self._target.bucket,
                    Key=self._target.key,
                    ExpectedBucketOwner=self._target.owner,
                    ChecksumMode="ENABLED",
                )
            except ClientError as error:
                if code(error) in MISSING:
                    return False
                raise
        if existing["ContentLength"] != size or (hex_sha256(existing) or self._read_back(size)) != sha256:
            raise PayloadConflict(
                "another payload is stored under this message id: choose an unused id for every payload",
                message_id=self._message_id,
                pointer=self._target.pointer,
            )
        return True

    def _read_back(self, size: int) -> str:
        reader = ObjectReader(
            S3Clients(self._s3), stored=self._target, size=size, claim=Claim(self._message_id), memory=Memory()
        )
        digest = hashlib.sha256()
        for chunk in reader.chunks(MIB):
            digest.update(chunk)
        return digest.hexdigest()

    def _require_part_number(self, number: int, size: int) -> None:
        if number > MAXIMUM_PARTS:
            raise PayloadTooLarge(
                f"the payload has more than {size} bytes, the maximum of S3's {MAXIMUM_PARTS} parts",
                message_id=self._message_id,
            )

    def _errors(self, action: str) -> AbstractContextManager[None]:
        return s3_errors(action, pointer=self._target.pointer, message_id=self._message_id)

    def _contended(self) -> PayloadUnavailable:
        return PayloadUnavailable(
            "another writer used the same key and left no object: publish again, under the same message id",
            message_id=self._message_id,
            pointer=self._target.pointer,
        )


def part_bytes(number: int) -> int:
    """Return the size of part `number` (from 1): 5 MiB for the first 5 GB, then growing.

    So 10,000 parts hold over 5 TiB, although a payload's length is not known beforehand. The memory grows with the
    parts: a part has 10 MiB after 5.4 GB.
    """
    return PART_BYTES * (1 + max(0, number - _FLAT_PARTS) // _GROWTH_PARTS)


def _completed(upload: MultipartUpload, size: int) -> bool:
    try:
        upload.complete(size=size, only_if_new=True)
    except ClientError as error:
        if code(error) in _EXISTS:
            return False
        raise
    return True


def _parts(chunks: Iterable[bytes], slots: Semaphore) -> Generator[bytes]:
    """Regroup chunks into parts of `part_bytes`. The last part may be shorter. Empty input gives one empty part.

    Acquires a slot before it joins a part, so that the memory holds the parts being sent and the part being read.
    """
    number, missing = 1, part_bytes(1)
    held: list[bytes | memoryview] = []
    for chunk in chunks:
        rest: bytes | memoryview = chunk
        while len(rest) >= missing:
            held.append(rest if len(rest) == missing else memoryview(rest)[:missing])
            rest = memoryview(rest)[missing:]
            slots.acquire()
            yield _joined(held)
            number += 1
            missing = part_bytes(number)
        if rest:
            held.append(rest)
            missing -= len(rest)
        del chunk, rest  # otherwise they stay in memory while the next chunk is read
    if held or number == 1:
        slots.acquire()
        yield _joined(held)


def _joined(held: list[bytes | memoryview]) -> bytes:
    """Return the list's bytes and empty the list. A chunk that is a whole part is not copied."""
    part = b"".join(held)
    held.clear()
    return part
