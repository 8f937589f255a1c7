"""A payload's bytes as they lie in the store or a replica, read as one stream however often the connection drops."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from claim_check.copying import Copied, Place, copy_object
from claim_check.errors import PayloadCorrupt, PayloadMissing, PayloadUnavailable
from claim_check.s3 import code, s3_errors

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

    from claim_check.claim import Claim
    from claim_check.pointer import Pointer
    from claim_check.store import Store

RESUMES = 5
_first_pause = 0.05  # seconds; doubled at every resume


class _Source(NamedTuple):
    """Where the object is read from. `what`: how errors call it."""

    s3: S3Client
    bucket: str
    what: str


class StoredBytes:
    """The bytes of one object: `size` and `claim` are what the message declares of it. `replicas`, each a client and a
    bucket, are read first, in their order."""

    def __init__(
        self,
        s3: S3Client,
        *,
        store: Store,
        pointer: Pointer,
        size: int,
        claim: Claim,
        replicas: Sequence[tuple[S3Client, str]] = (),
    ) -> None:
        self._origin = _Source(s3, pointer.bucket, "the payload")
        self._replicas = [_Source(client, bucket, f"the payload's replica in {bucket}") for client, bucket in replicas]
        self.store = store
        self.pointer = pointer
        self._size = size
        self._claim = claim

    def chunks(self, size: int) -> Generator[bytes]:
        """All bytes, `size` at a time, from the first replica that has the object, else the store. A dropped connection
        is resumed where it broke, on the same object (its ETag, which a replica's is not), at most five times. Closing
        the generator closes the connection."""
        offset, etag, source = 0, None, None
        for drops in count():
            if source is None:
                source, body, etag = self._open_nearest()
            else:
                body, etag = self._reopen(source, offset, etag)
            try:
                with closing(body):
                    while chunk := body.read(size):
                        offset += len(chunk)
                        yield chunk
            except FlexibleChecksumError as error:
                raise PayloadCorrupt(
                    "the bytes received differ from S3's own checksum of them", **self._known
                ) from error
            except Exception as error:
                if not _is_drop(error):
                    raise
                if drops == RESUMES:
                    raise PayloadUnavailable(
                        f"the connection dropped {RESUMES + 1} times; {offset} of {self._size} bytes were read",
                        **self._known,
                    ) from error
                time.sleep(_first_pause * 2**drops)
            else:
                return

    def copy_to(self, s3: S3Client, target: Place) -> Copied:
        """Has S3 copy the object, from the first replica that has it, else the store, as it was when its size and S3's
        checksum were compared with the message's."""
        for replica in self._replicas:
            with suppress(PayloadMissing, PayloadUnavailable, PayloadCorrupt):
                return self._copy_from(replica, s3, target)
        return self._copy_from(self._origin, s3, target)

    def _copy_from(self, source: _Source, s3: S3Client, target: Place) -> Copied:
        with s3_errors(f"look at {source.what}", **self._known):
            found = source.s3.head_object(**self._object(source), ChecksumMode="ENABLED")
        self._compare(found, 0)
        place = Place(source.bucket, self.pointer.key, self.store.owner)
        with s3_errors(f"copy {source.what} to s3://{target.bucket}/{target.key}", **self._known):
            copied = copy_object(s3, source=place, target=target, size=self._size, etag=found["ETag"])
        if _differ(copied.crc64nvme, found.get("ChecksumCRC64NVME")):
            raise PayloadCorrupt("S3's CRC64NVME of the copy is not the source's", **self._known)
        return copied

    def _open_nearest(self) -> tuple[_Source, StreamingBody, str | None]:
        for replica in self._replicas:
            # Not there yet, not to be read, or not what the message declares: the store itself has the last word.
            with suppress(PayloadMissing, PayloadUnavailable, PayloadCorrupt):
                return (replica, *self._open(replica, 0, None))
        return (self._origin, *self._open(self._origin, 0, None))

    def _reopen(self, source: _Source, offset: int, etag: str | None) -> tuple[StreamingBody, str | None]:
        try:
            return self._open(source, offset, etag)
        except PayloadMissing as error:
            if source is self._origin:
                raise
            raise PayloadUnavailable(f"{source.what} went while it was read: read it again", **self._known) from error

    def _open(self, source: _Source, offset: int, etag: str | None) -> tuple[StreamingBody, str | None]:
        request = self._object(source)
        if offset:
            request |= {"Range": f"bytes={offset}-"} | ({"IfMatch": etag} if etag else {})
        if self._claim.sha256 is None:
            request["ChecksumMode"] = "ENABLED"  # nothing of ours to check by, so S3's own checksum has to do
        with s3_errors(f"read {source.what}", **self._known):
            try:
                answer = source.s3.get_object(**request)
            except ClientError as error:
                if code(error) == "PreconditionFailed":
                    raise PayloadUnavailable(
                        "the object was replaced while it was read: read it again", **self._known
                    ) from error
                raise
        try:
            self._compare(answer, offset)
        except PayloadCorrupt:
            answer["Body"].close()
            raise
        return answer["Body"], answer.get("ETag")

    def _compare(self, found: Mapping[str, Any], offset: int) -> None:
        if offset + found["ContentLength"] != self._size:
            raise PayloadCorrupt(
                f"the object has {offset + found['ContentLength']} bytes, the message declares {self._size}",
                **self._known,
            )
        if _differ(self._claim.crc64nvme, found.get("ChecksumCRC64NVME")):
            raise PayloadCorrupt("S3's CRC64NVME of the object is not the one the message declares", **self._known)

    def _object(self, source: _Source) -> dict[str, Any]:
        return {"Bucket": source.bucket, "Key": self.pointer.key, "ExpectedBucketOwner": self.store.owner}

    @property
    def _known(self) -> dict[str, Any]:
        return {"pointer": self.pointer, "message_id": self._claim.id}


def _is_drop(error: Exception) -> bool:
    # Late, as in s3.py. botocore translates what urllib3 raises while a body is read, but not all: TLS errors come as
    # is.
    from urllib3.exceptions import HTTPError

    return isinstance(error, IncompleteReadError | ReadTimeoutError | ResponseStreamingError | HTTPError)


def _differ(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other
