"""Offload: write a payload of any length into a store, in constant memory, once."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from threading import Semaphore
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from claim_check.errors import PayloadConflict, PayloadTooLarge, PayloadUnavailable
from claim_check.publishing.source import CHUNK, Source, ahead, chunks_of
from claim_check.s3.client import MIB, MISSING, code, s3_client, s3_errors
from claim_check.s3.copy import hex_sha256
from claim_check.s3.multipart import MOST_PARTS, MultipartUpload
from claim_check.s3.object_reader import StoredBytes
from claim_check.wire.claim import Claim
from claim_check.wire.identity import checked_id

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import S3Object, Store
    from claim_check.wire.pointer import Pointer

PART = CHUNK  # S3 takes none that are smaller
# Parts on their way while the next one fills: memory is one part more than this.
_workers = 2
_flat_parts = 1_000
_growth = 36
_put_attempts = 3
_pause = 0.1  # seconds

# The key exists; or another writer is at it; or this very upload was completed by a call whose answer got lost.
_taken = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload"})


class Offloaded(NamedTuple):
    """A payload in a store: where, how many bytes, their SHA-256 in hex, and whether this call wrote it (False: it was
    there already, from an earlier attempt with the same content)."""

    stored: S3Object
    size: int
    sha256: str
    created: bool = True

    @property
    def pointer(self) -> Pointer:
        """The pointer to the payload."""
        return self.stored.pointer


def offload(payload: Source, *, store: Store, message_id: str, s3: S3Client | None = None) -> Offloaded:
    """Writes a payload to `store.object_of(message_id)`, unless it is there already.

    Below 5 MiB in one request; else in parts of 5 MiB, which grow slowly after the first 5 GB so that 5 TiB fit, and
    two of which are sent at a time. S3 verifies a checksum of every request. Nothing is overwritten: the same content
    under the same id is a retry and succeeds; other content raises PayloadConflict. A failure midway leaves no upload
    behind.

    `s3` is a client of the store's Region (made when None). Needs s3:PutObject, s3:AbortMultipartUpload, and
    s3:GetObject to compare at a retry. Raises InvalidMessage, PayloadConflict, PayloadTooLarge, PayloadUnavailable,
    and whatever the caller's file or iterable raises.
    """
    checked_id(message_id)
    with closing(chunks_of(payload)) as chunks:
        return offload_chunks(chunks, store=store, message_id=message_id, s3=s3 or s3_client(store.region))


def offload_chunks(chunks: Iterable[bytes], *, store: Store, message_id: str, s3: S3Client) -> Offloaded:
    """As `offload`, for bytes that are being streamed already."""
    room = Semaphore(_workers)
    return _Writer(s3, store=store, message_id=message_id).write(_parts(chunks, room), room)


class _Writer:
    def __init__(self, s3: S3Client, *, store: Store, message_id: str) -> None:
        self._s3 = s3
        self._target = store.object_of(message_id)
        self._pointer = self._target.pointer
        self._message_id = message_id

    def write(self, parts: Iterator[bytes], room: Semaphore) -> Offloaded:
        first = [next(parts)]
        if len(first[0]) < PART:
            return self.put(first.pop())
        return self.upload(ahead(first, parts), room)

    def put(self, body: bytes) -> Offloaded:
        digest = hashlib.sha256(body)
        for attempt in range(_put_attempts):
            if attempt:
                time.sleep(_pause * attempt)
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
                    if code(error) not in _taken:
                        raise
                else:
                    return Offloaded(self._target, len(body), digest.hexdigest(), created=True)
            if self._is_stored(len(body), digest.hexdigest()):
                return Offloaded(self._target, len(body), digest.hexdigest(), created=False)
        raise self._contended()

    def upload(self, parts: Iterable[bytes], room: Semaphore) -> Offloaded:
        digest, size = hashlib.sha256(), 0
        with self._errors("store the payload"):
            upload = MultipartUpload.begin(
                self._s3,
                bucket=self._target.bucket,
                key=self._target.key,
                owner=self._target.owner,
                algorithm="CRC32",
                checksum_type="COMPOSITE",
                workers=_workers,
            )
        with upload:
            # Parts come from the caller, whose errors must pass as they are: only what goes to S3 is translated.
            for number, part in enumerate(parts, start=1):
                self._refuse_beyond(number, size)
                with self._errors("store the payload"):
                    upload.upload(number, part, sent=room.release)
                digest.update(part)
                size += len(part)
                del part  # else it is held while the next one is made
            with self._errors("store the payload"):
                created = _completed(upload, size)
        if created or self._is_stored(size, digest.hexdigest()):
            return Offloaded(self._target, size, digest.hexdigest(), created)
        raise self._contended()

    def _is_stored(self, size: int, sha256: str) -> bool:
        """Whether the object is there with this content; False when there is none. Raises PayloadConflict."""
        with self._errors("compare with the stored payload"):
            try:
                found = self._s3.head_object(
                    Bucket=self._target.bucket,
                    Key=self._target.key,
                    ExpectedBucketOwner=self._target.owner,
                    ChecksumMode="ENABLED",
                )
            except ClientError as error:
                if code(error) in MISSING:
                    return False
                raise
        if found["ContentLength"] != size or (hex_sha256(found) or self._read_back(size)) != sha256:
            raise PayloadConflict(
                "another payload is stored under this message id: give every payload an id of its own",
                message_id=self._message_id,
                pointer=self._pointer,
            )
        return True

    def _read_back(self, size: int) -> str:
        claim = Claim(self._message_id)
        stored = StoredBytes(self._s3, stored=self._target, size=size, claim=claim)
        digest = hashlib.sha256()
        for chunk in stored.chunks(MIB):
            digest.update(chunk)
        return digest.hexdigest()

    def _refuse_beyond(self, number: int, size: int) -> None:
        if number > MOST_PARTS:
            raise PayloadTooLarge(
                f"the payload has more than {size} bytes, which is all that S3's {MOST_PARTS} parts hold",
                message_id=self._message_id,
            )

    def _errors(self, action: str) -> AbstractContextManager[None]:
        return s3_errors(action, pointer=self._pointer, message_id=self._message_id)

    def _contended(self) -> PayloadUnavailable:
        return PayloadUnavailable(
            "another writer was at the same key and left nothing there: publish again, under the same message id",
            message_id=self._message_id,
            pointer=self._pointer,
        )


def part_size(number: int) -> int:
    """Bytes in part `number` (from 1): 5 MiB for 5 GB, then growing so that 10,000 parts hold over 5 TiB without
    anybody having to know a payload's length beforehand. Beyond the first 5 GB, memory grows alike: 10 MiB a part at
    5.6 GB."""
    return PART * (1 + max(0, number - _flat_parts) // _growth)


def _completed(upload: MultipartUpload, size: int) -> bool:
    try:
        upload.complete(size=size, only_if_new=True)
    except ClientError as error:
        if code(error) in _taken:
            return False
        raise
    return True


def _parts(chunks: Iterable[bytes], room: Semaphore) -> Generator[bytes]:
    """The chunks' bytes in parts of exactly `part_size`, but for the last; at least one part, which may be empty.

    Waits for `room` before it makes a part, so that those on their way and the one that fills are all the memory.
    """
    number, missing = 1, part_size(1)
    held: list[bytes | memoryview] = []
    for chunk in chunks:
        rest: bytes | memoryview = chunk
        while len(rest) >= missing:
            held.append(rest if len(rest) == missing else memoryview(rest)[:missing])
            rest = memoryview(rest)[missing:]
            room.acquire()
            yield _joined(held)
            number += 1
            missing = part_size(number)
        if rest:
            held.append(rest)
            missing -= len(rest)
        del chunk, rest  # else they are held while the next one is made
    if held or number == 1:
        room.acquire()
        yield _joined(held)


def _joined(held: list[bytes | memoryview]) -> bytes:
    """What is in the list, which is emptied. A chunk that is a part by itself is not copied."""
    part = b"".join(held)
    held.clear()
    return part
