"""Reading a payload's object from a store or a replica, across dropped connections."""

from __future__ import annotations

import hashlib
import re
import time
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, FlexibleChecksumError

from claim_check.errors import ClaimCheckError, PayloadCorrupt, PayloadUnavailable
from claim_check.s3.client import MIB, code, s3_errors
from claim_check.s3.connection import is_drop, is_stall, read_fully, read_some, require_end
from claim_check.s3.copy import Copied, copy_object
from claim_check.s3.crc32 import base64_crc32
from claim_check.s3.parallel_read import ParallelRead, Target
from claim_check.s3.reported import Reported
from claim_check.s3.response import complete

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

    from claim_check.memory import Memory
    from claim_check.s3.client import S3Clients
    from claim_check.store import Replica, S3Object
    from claim_check.wire.claim import Claim
    from claim_check.wire.pointer import Pointer

MAXIMUM_RESUMES = 5  # in a row, without a byte between them
_PAUSE_SECONDS = 0.1  # before the second resume in a row, and doubled before each further one
_MAXIMUM_STALLS = 2  # of a replica, in one read
_REPLICA_SECONDS = 10
_REPLICA_BYTES_PER_SECOND = 64 * 1024
_content_range = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<size>\d+)")


class ObjectReader:
    """The bytes of an object in a store.

    `size` and `claim` are as the message declares them. If `replica` is not None, it is read instead of the
    store's bucket. `clients` has a client of the Region that is read. `label` names the object in errors.
    """

    def __init__(
        self,
        clients: S3Clients,
        *,
        stored: S3Object,
        size: int,
        claim: Claim,
        memory: Memory,
        replica: Replica | None = None,
    ) -> None:
        self.label = f"the payload's replica in {replica.bucket}" if replica else "the payload"
        self._clients = clients
        self._is_replica = replica is not None
        self._source = stored._replace(bucket=replica.bucket, region=replica.region) if replica else stored
        self.pointer: Pointer | None = stored.pointer
        self._size = size
        self._claim = claim
        self._memory = memory
        self.is_whole = size < memory.whole_bytes

    def pieces(
        self, check: Callable[[int, str], object], target: Target | None = None
    ) -> Generator[bytes | memoryview]:
        """Yield the bytes in order, or write them to `target`. A piece is valid until the next one is requested.

        `check` is called with size and SHA-256 (hex) of all bytes before the last ones are yielded. A small payload is
        one GET. A larger one is read on several connections. Closing the generator closes the connections.
        """
        if self.is_whole:
            yield from _written(self._whole(check), target)
            return
        try:
            etag = None if self._claim.sha256 else self._proved_etag()
        except BaseException:
            if target:
                target.close()
            raise
        if etag or self._claim.sha256:
            read = ParallelRead(self, size=self._size, etag=etag, memory=self._memory, check=check, target=target)
            yield from read.pieces()
        else:
            yield from _written(self._on_one_connection(check), target)

    def chunks(self, size: int) -> Generator[bytes]:
        """Yield all bytes by one GET, `size` at a time.

        A dropped connection is resumed at its offset, if the object still has the same ETag. Six drops without a byte
        between them end the read. Closing the generator closes the connection.
        """
        offset, in_a_row, stalls = 0, 0, 0
        etag: str | None = None
        begun = time.monotonic()
        read = read_some if self._is_replica else read_fully
        while etag is None or offset < self._size:
            body, etag = self.open(offset, None, etag)
            before = offset
            try:
                with closing(body):
                    while chunk := read(body, size):
                        offset += len(chunk)
                        yield chunk
                        self.require_progress(offset, seconds=time.monotonic() - begun)
                require_end(offset, self._size)
            except FlexibleChecksumError as error:
                raise PayloadCorrupt(
                    f"{self.label}: the received bytes differ from S3's checksum", **self._known
                ) from error
            except Exception as error:
                in_a_row = 0 if offset > before else in_a_row + 1
                stalls += is_stall(error)
                time.sleep(self.pause(error, in_a_row=in_a_row, stalls=stalls, received=offset))

    def open(self, first: int, end: int | None, etag: str | None) -> tuple[StreamingBody, str]:
        """Return the body of the bytes from `first` up to `end` (None: to the object's end), and the object's ETag.

        With `etag`, S3 responds only if the object still has it. Raises PayloadMissing, PayloadUnavailable, or
        PayloadCorrupt if the object has another size than the message declares.
        """
        request = self._object | ({"IfMatch": etag} if etag else {})
        if first or end is not None:
            request["Range"] = f"bytes={first}-{'' if end is None else end - 1}"
        elif self._claim.sha256 is None:
            # The message has no digest, so S3's checksum is compared instead: of the whole object, hence of no range.
            request["ChecksumMode"] = "ENABLED"
        with s3_errors(f"read {self.label}", **self._known):
            try:
                response = self._s3.get_object(**request)
            except ClientError as error:
                if code(error) == "PreconditionFailed":
                    raise self.replaced() from error
                if code(error) == "InvalidRange":
                    raise PayloadCorrupt(
                        f"{self.label} has fewer bytes than the message declares: {self._size}", **self._known
                    ) from error
                raise
        try:
            with s3_errors(f"read {self.label}", **self._known):
                complete(response)
            if etag not in (None, response["ETag"]):  # another server can ignore If-Match
                raise self.replaced()
            self._compare(response, first, end)
        except ClaimCheckError:
            response["Body"].close()
            raise
        return response["Body"], response["ETag"]

    def pause(self, error: Exception, *, in_a_row: int, stalls: int, received: int) -> float:
        """Return the seconds to wait before a read is resumed. Raises if it is not.

        `in_a_row` counts the drops without a byte between them. `stalls` counts the times that the connection was
        silent: a replica is left after the second one.
        """
        if not is_drop(error):
            raise error
        if in_a_row > MAXIMUM_RESUMES or (self._is_replica and stalls >= _MAXIMUM_STALLS):
            raise PayloadUnavailable(
                f"the connection dropped {in_a_row} times in a row, and was silent {stalls} times; {received} of "
                f"{self._size} bytes were read",
                **self._known,
            ) from error
        return _PAUSE_SECONDS * 2 ** (in_a_row - 2) if in_a_row > 1 else 0

    def require_progress(self, size: int, *, seconds: float) -> None:
        """Raise PayloadUnavailable if a replica has sent `size` bytes, or fewer, in an unreasonable time."""
        if self._is_replica and seconds > _REPLICA_SECONDS + size / _REPLICA_BYTES_PER_SECOND:
            raise PayloadUnavailable(f"{self.label} is too slow: {size} bytes in {seconds:.0f} s", **self._known)

    def replaced(self) -> PayloadUnavailable:
        """Return the error of an object that changed between two requests."""
        return PayloadUnavailable("the object was replaced while it was read: read it again", **self._known)

    def _whole(self, check: Callable[[int, str], object]) -> Generator[bytes]:
        with self._memory.share() as share:
            share.take(self._size, needed_next=True)
            data = b"".join(self.chunks(max(self._size, 1)))
            check(len(data), hashlib.sha256(data).hexdigest())
            if self._claim.sha256 is None:
                self._compare_crc32(zlib.crc32(data))
            if data:
                yield data

    def _on_one_connection(self, check: Callable[[int, str], object]) -> Generator[bytes]:
        """Yield the bytes of a payload without a digest. botocore compares S3's checksum of one whole response."""
        digest, crc32, size, last = hashlib.sha256(), 0, 0, b""
        with closing(self.chunks(MIB)) as chunks:
            for chunk in chunks:
                if last:
                    yield last
                digest.update(chunk)
                crc32 = zlib.crc32(chunk, crc32) if self._claim.crc32 else 0
                size += len(chunk)
                last = chunk
        check(size, digest.hexdigest())
        if self._claim.crc32:
            self._compare_crc32(crc32)
        yield last

    def _proved_etag(self) -> str | None:
        """Return the ETag of an object whose checksum in S3 is the declared one, or None if the two have none."""
        declared = {name: value for name in ("crc64nvme", "crc32") if (value := getattr(self._claim, name))}
        if not declared:
            return None
        reported = self.reported()
        compared = {name: getattr(reported, name) for name in declared if getattr(reported, name)}
        for name, value in compared.items():
            if value != declared[name]:
                raise PayloadCorrupt(f"S3's {name.upper()} of {self.label} differs from the message", **self._known)
        return reported.etag if compared else None

    def reported(self) -> Reported:
        """Return S3's figures of the object, by one HeadObject. Raises PayloadMissing or PayloadUnavailable."""
        with s3_errors(f"look at {self.label}", **self._known):
            return Reported.of(self._s3.head_object(**self._object, ChecksumMode="ENABLED"))

    def copy_to(self, s3: S3Client, target: S3Object) -> Copied:
        """Copy the object in S3, if its size and S3's checksum match the message."""
        with s3_errors(f"look at {self.label}", **self._known):
            head = complete(self._s3.head_object(**self._object, ChecksumMode="ENABLED"))
        self._compare(head)
        with s3_errors(f"copy {self.label} to {target.pointer}", **self._known):
            copied = copy_object(s3, source=self._source, target=target, size=self._size, etag=head["ETag"])
        if _differ(copied.crc64nvme, head.get("ChecksumCRC64NVME")):
            raise PayloadCorrupt("S3's CRC64NVME of the copy is not the source's", **self._known)
        return copied

    def _compare(self, response: Mapping[str, Any], first: int = 0, end: int | None = None) -> None:
        length, size = response["ContentLength"], first + response["ContentLength"]
        is_range = first > 0 or end is not None or "ContentRange" in response  # a proxy can send a part of an object
        if is_range:
            found = _content_range.fullmatch(response.get("ContentRange", ""))
            if not found or int(found["first"]) != first or int(found["last"]) + 1 != first + length:
                raise PayloadUnavailable(
                    f"cannot read {self.label}: the response is not the requested range; check the proxies",
                    **self._known,
                )
            size = int(found["size"])
        if size != self._size:
            raise PayloadCorrupt(
                f"{self.label} has {size} bytes, the message declares {self._size}",
                **self._known,
            )
        if end is not None and first + length != end:
            raise PayloadUnavailable(
                f"cannot read {self.label}: the response has {length} of {end - first} bytes", **self._known
            )
        if not is_range and _differ(self._claim.crc64nvme, response.get("ChecksumCRC64NVME")):
            raise PayloadCorrupt(f"S3's CRC64NVME of {self.label} differs from the message", **self._known)

    def _compare_crc32(self, crc32: int) -> None:
        if _differ(self._claim.crc32, base64_crc32(crc32)):
            raise PayloadCorrupt(f"the CRC32 of {self.label} differs from the message", **self._known)

    @property
    def _s3(self) -> S3Client:
        return self._clients.client(self._source.region, patient=not self._is_replica)

    @property
    def _object(self) -> dict[str, Any]:
        return {"Bucket": self._source.bucket, "Key": self._source.key, "ExpectedBucketOwner": self._source.owner}

    @property
    def _known(self) -> dict[str, Any]:
        return {"pointer": self.pointer, "message_id": self._claim.id}


def _written(pieces: Generator[bytes], target: Target | None) -> Generator[bytes]:
    """Yield the pieces, or write them to the target."""
    if target is None:
        yield from pieces
        return
    offset = 0
    with closing(target), closing(pieces):
        for piece in pieces:
            target.write(offset, memoryview(piece))
            offset += len(piece)


def _differ(first: str | None, second: str | None) -> bool:
    return first is not None and second is not None and first != second
