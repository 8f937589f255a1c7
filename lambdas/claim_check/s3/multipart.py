"""A multipart upload to S3: parts sent by workers, then completed or aborted."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, Protocol, Self, TypeVar

from botocore.exceptions import ClientError

from claim_check.memory import MAXIMUM_CONNECTIONS, PIECE_BYTES
from claim_check.s3.client import code, retry_at_once
from claim_check.s3.crc32 import base64_crc32, combined_crc32
from claim_check.s3.response import required
from claim_check.s3.workers import WAIT_SECONDS, Call, Stopped, Workers, start_thread, stopping

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from claim_check.s3.reported import Reported
    from claim_check.store import S3Object

T = TypeVar("T")
P = ParamSpec("P")
Progress = Callable[[int], object]

MAXIMUM_PARTS = 10_000
MAXIMUM_PART_BYTES = 5 * 1024**3
_END_SECONDS = 5.0
_POLL_SECONDS = 0.01


class Blob(Protocol):
    """Bytes that several threads read at any position."""

    def read(self, first: int, size: int) -> bytes | memoryview:
        """Return `size` bytes from `first`. Raises InvalidMessage if they no longer exist."""


class PartBody:
    """A part of a blob, as a file for boto. `read` raises Stopped when the upload is stopped.

    urllib3 requests 16 KiB at a time. `send_in_pieces` makes `read` return up to 256 KiB then, until `seek` is called.
    """

    def __init__(self, blob: Blob, first: int, size: int, workers: Workers) -> None:
        self._blob = blob
        self._first = first
        self._size = size
        self._workers = workers
        self._position = 0
        self._in_pieces = False

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes | memoryview:
        """Return the next bytes, or no bytes at the end."""
        if self._workers.stopped:
            raise Stopped
        if size < 0:
            return b"".join(iter(partial(self.read, PIECE_BYTES), b""))
        limit = PIECE_BYTES if self._in_pieces else min(size, PIECE_BYTES)
        with stopping():
            piece = self._blob.read(self._first + self._position, min(limit, self._size - self._position))
        self._position += len(piece)
        return piece

    def send_in_pieces(self) -> None:
        """Return whole pieces from `read`, for any requested size."""
        self._in_pieces = True

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position, to send the part again or to digest it."""
        self._position = (offset, self._position + offset, self._size + offset)[whence]
        self._in_pieces = False
        return self._position

    def crc32(self) -> int:
        """Return the CRC32 of the part, and move to its first byte."""
        crc32 = 0
        for piece in iter(partial(self.read, PIECE_BYTES), b""):
            crc32 = zlib.crc32(piece, crc32)
        self.seek(0)
        return crc32


class Part(NamedTuple):
    """A part that S3 has stored. `request` is its member of CompleteMultipartUpload."""

    number: int
    size: int
    request: CompletedPartTypeDef
    blob: Blob | None = None
    crc32: int = 0


class MultipartUpload:
    """One upload. A context manager: leaving it without `complete` stops all requests and aborts the upload.

    Enter it twice: `with upload, upload:`. If a signal handler raises in the first exit, the second aborts the upload.
    `create` begins it. All requests run in workers, `limit` at a time. S3 keeps a checksum of the whole object of this
    algorithm. `progress` is called in the caller's thread with the bytes that S3 has stored, at least once a second
    while the caller waits. A part's error is raised by `wait` or `complete`: boto's, or as `errors` translates it.
    """

    def __init__(
        self,
        s3: S3Client,
        target: S3Object,
        *,
        algorithm: Literal["CRC32", "CRC64NVME"],
        limit: int = MAXIMUM_CONNECTIONS,
        parameters: Mapping[str, Any] | None = None,
        progress: Progress = lambda _: None,
        errors: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._s3 = s3
        self._target: Any = {"Bucket": target.bucket, "Key": target.key, "ExpectedBucketOwner": target.owner}
        self._algorithm: Any = algorithm
        self._parameters: Any = parameters or {}
        self._progress = progress
        self._errors = errors
        config: Any = s3.meta.config  # the stubs lack its attributes
        self.limit: int = min(limit, config.max_pool_connections)
        self._workers = Workers(self.limit)
        self._upload: Any = {}
        self._parts: dict[int, Part] = {}
        self._aborting = Lock()
        # One checksum for each processor at a time: otherwise all would be done at the same time, and late.
        self._digesting = Semaphore(os.cpu_count() or 1)
        self._deadline: float | None = None
        self._is_closed = False
        self._is_noted = False
        self._failure: Exception | None = None
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._workers.__exit__()
        self._deadline = self._deadline or time.monotonic() + _END_SECONDS
        if not self._is_closed:
            try:
                start_thread(self._abort)
            except RuntimeError:  # a limit of threads or memory
                self._abort()
        while not self._is_closed and time.monotonic() < self._deadline:
            time.sleep(_POLL_SECONDS)
        if error and (self._failure or not self._is_closed) and not self._is_noted:
            # The first error matters more. The bucket's lifecycle rule for incomplete uploads deletes the parts later.
            error.add_note(f"upload {self._upload.get('UploadId')} was not aborted: {self._failure or 'S3 is slow'}")
            self._is_noted = True

    @property
    def running(self) -> int:
        """The number of parts that are being sent or waiting."""
        return self._workers.running

    @property
    def crc32(self) -> int:
        """The CRC32 of all bytes that were sent."""
        whole = 0
        for _, part in sorted(self._parts.items()):
            whole = combined_crc32(whole, part.crc32, part.size)
        return whole

    def create(self, look: Callable[[], Reported | None] = lambda: None) -> Reported | None:
        """Begin the upload. Return the value of `look`, another request, which is made at the same time."""
        self._s3.meta.events.register("before-send.s3.UploadPart", _before_send, unique_id="claim-check-part")
        retry_at_once(self._s3, "UploadPart")
        looked, created = self._submit(look), self._submit(self._create)
        self._result(created)
        return self._result(looked)

    def send(self, number: int, blob: Blob, first: int, size: int) -> None:
        """Send `size` bytes of a blob from `first` as part `number` (from 1), with a CRC32 that S3 verifies."""
        self._submit(self._send, number, blob, first, size)

    def copy(self, number: int, *, first: int, last: int, source: Mapping[str, Any]) -> None:
        """Copy the bytes `first` to `last` (inclusive) of an object in S3 as part `number`."""
        self._submit(self._copy, number, first, last, source)

    def wait(self, seconds: float = WAIT_SECONDS) -> Part | None:
        """Return the next part that S3 has stored, or None if no part is stored within `seconds`."""
        call = self._workers.wait(seconds)
        part = call.result() if call else None
        if isinstance(part, Part):
            self._parts[part.number] = part._replace(blob=None)
            self.size += part.size
        if part or seconds:
            self._progress(self.size)
        return part if isinstance(part, Part) else None

    def wait_for_all(self) -> None:
        """Wait until S3 has stored all parts."""
        while self.running:
            self.wait()

    def complete(self, *, only_if_new: bool, codes: Container[str] = ()) -> Mapping[str, Any]:
        """Complete the object from all parts, in order. Return nothing for an error with one of these codes.

        S3 rejects parts whose sizes do not add up. With `only_if_new`, S3 rejects a key that exists (status 412) or
        that another writer completes at the same time (409).
        """
        self.wait_for_all()
        return self._result(self._submit(self._complete, only_if_new, codes))

    def _submit(self, function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> Call[T]:
        def translated() -> T:
            with self._errors():
                return function(*arguments, **options)

        return self._workers.submit(translated)

    def _result(self, call: Call[T]) -> T:
        while not call.is_done:
            self._workers.wait()
            self._progress(self.size)
        return call.result()

    def _create(self) -> None:
        created = self._s3.create_multipart_upload(
            **self._target, ChecksumAlgorithm=self._algorithm, ChecksumType="FULL_OBJECT", **self._parameters
        )
        self._upload = {**self._target, "UploadId": required(created, "UploadId")}

    def _send(self, number: int, blob: Blob, first: int, size: int) -> Part:
        body: Any = PartBody(blob, first, size, self._workers)
        # The checksum is computed here and sent as a header. boto3 would send it after the body. It would also copy
        # the body several times, in pieces of 16 KiB.
        with self._digesting:
            crc32 = body.crc32()
        checksum: Any = {"ChecksumCRC32": base64_crc32(crc32)}
        response = self._s3.upload_part(**self._upload, PartNumber=number, Body=body, **checksum)
        request: Any = {"PartNumber": number, "ETag": required(response, "ETag"), **checksum}
        return Part(number, size, request, blob, crc32)

    def _copy(self, number: int, first: int, last: int, source: Any) -> Part:
        copied = self._s3.upload_part_copy(
            **self._upload, PartNumber=number, CopySourceRange=f"bytes={first}-{last}", **source
        )
        result: Any = copied.get("CopyPartResult", {})
        checksum: Any = {name: value for name, value in result.items() if name == f"Checksum{self._algorithm}"}
        request: Any = {"PartNumber": number, "ETag": required(result, "ETag"), **checksum}
        return Part(number, last - first + 1, request)

    def _complete(self, only_if_new: bool, codes: Container[str]) -> Mapping[str, Any]:
        condition: Any = {"IfNoneMatch": "*"} if only_if_new else {}
        try:
            result = self._s3.complete_multipart_upload(
                **self._upload,
                **condition,
                MultipartUpload={"Parts": [part.request for _, part in sorted(self._parts.items())]},
                MpuObjectSize=self.size,
                ChecksumType="FULL_OBJECT",
            )
        except ClientError as error:
            if code(error) in codes:
                return {}
            raise
        required(result, "ETag")
        self._is_closed = True
        return result

    def _abort(self) -> None:
        """Abort the upload once, after all requests have ended: S3 stores, and bills, a part that arrives later."""
        if not self._aborting.acquire(blocking=False):
            return
        while not self._workers.is_idle:
            time.sleep(_POLL_SECONDS)
        try:
            if self._upload and not self._is_closed:
                self._s3.abort_multipart_upload(**self._upload)
        except Exception as failure:
            self._failure = failure
        self._is_closed = True


def pieces_of(blob: Blob, size: int) -> Iterator[bytes | memoryview]:
    """Yield the first `size` bytes of a blob, up to 256 KiB at a time."""
    for first in range(0, size, PIECE_BYTES):
        yield blob.read(first, min(PIECE_BYTES, size - first))


def _before_send(request: Any, **_: object) -> None:
    if isinstance(request.body, PartBody):
        # boto would wait for the response to "Expect: 100-continue" before it sends a file: a round trip for each part.
        request.headers.pop("Expect", None)
        request.body.send_in_pieces()
