"""One S3 multipart upload: parts sent by a few threads, completed or aborted, never left behind."""

from __future__ import annotations

import base64
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef, CompleteMultipartUploadOutputTypeDef

MOST_PARTS = 10_000


class MultipartUpload:
    """A context manager around one upload; leaving it without `complete` aborts the upload.

    `workers` calls run at a time. `upload` and `copy` wait until one is free, so at most `workers` part bodies are
    held here, plus the one that waits. What boto raises for a part comes out of a later `upload` or `copy`, or of
    `complete`.
    """

    def __init__(
        self, s3: S3Client, upload: Mapping[str, str], *, algorithm: str, checksum_type: str, workers: int
    ) -> None:
        self._s3 = s3
        self._upload: Any = upload
        self._algorithm: Any = algorithm
        self._checksum_type: Any = checksum_type
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="multipart")
        self._running: deque[Future[CompletedPartTypeDef]] = deque()
        self._parts: list[CompletedPartTypeDef] = []
        self._completed = False

    @classmethod
    def begin(
        cls,
        s3: S3Client,
        *,
        bucket: str,
        key: str,
        owner: str,
        algorithm: Literal["CRC32", "CRC64NVME"],
        checksum_type: Literal["COMPOSITE", "FULL_OBJECT"],
        workers: int,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        """A new upload to `bucket`/`key`, if `owner` owns the bucket; S3 keeps checksums of this algorithm and type."""
        place: dict[str, Any] = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": owner}
        created = s3.create_multipart_upload(
            **place, ChecksumAlgorithm=algorithm, ChecksumType=checksum_type, Metadata=dict(metadata or {})
        )
        upload = {**place, "UploadId": created["UploadId"]}
        return cls(s3, upload, algorithm=algorithm, checksum_type=checksum_type, workers=workers)

    def __enter__(self) -> MultipartUpload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # First wait for what is on its way: a part that arrives after the abort would be kept, and billed.
        self._pool.shutdown(wait=True, cancel_futures=True)
        if not self._completed:
            self._abort(error)

    def upload(self, number: int, body: bytes, *, sent: Callable[[], object] = lambda: None) -> None:
        """Sends part `number` (from 1) with a checksum S3 verifies, and calls `sent` when `body` is not needed any
        longer, whether it arrived or not."""

        def send() -> Any:
            try:
                # Given here, and in a header: boto3 would put it behind the body, for which it copies the body in
                # pieces of 16 KiB, over and over.
                crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
                answer = self._s3.upload_part(**self._upload, PartNumber=number, Body=body, ChecksumCRC32=crc32)
                return {"ETag": answer["ETag"], "ChecksumCRC32": crc32}
            finally:
                sent()

        self._add(number, send)

    def copy(self, number: int, *, first: int, last: int, source: Mapping[str, Any]) -> None:
        """Has S3 copy the bytes `first` to `last` (inclusive) of an object as part `number`."""
        self._add(
            number,
            lambda: self._s3.upload_part_copy(
                **self._upload, PartNumber=number, CopySourceRange=f"bytes={first}-{last}", **source
            )["CopyPartResult"],
        )

    def complete(self, *, size: int, only_if_new: bool) -> CompleteMultipartUploadOutputTypeDef:
        """Makes the object of all parts, in order; S3 refuses when they are not `size` bytes together, and with
        `only_if_new` when the key exists (412) or another writer is at it (409)."""
        while self._running:
            self._parts.append(self._running.popleft().result())
        condition: Any = {"IfNoneMatch": "*"} if only_if_new else {}
        result = self._s3.complete_multipart_upload(
            **self._upload,
            **condition,
            MultipartUpload={"Parts": self._parts},
            MpuObjectSize=size,
            ChecksumType=self._checksum_type,
        )
        self._completed = True
        return result

    def _add(self, number: int, call: Callable[[], Any]) -> None:
        while len(self._running) >= self._workers:
            self._parts.append(self._running.popleft().result())
        self._running.append(self._pool.submit(self._part, number, call))

    def _part(self, number: int, call: Callable[[], Any]) -> CompletedPartTypeDef:
        answer = call()
        checksum = f"Checksum{self._algorithm}"
        part = {"PartNumber": number, "ETag": answer["ETag"]}
        return cast("CompletedPartTypeDef", part | ({checksum: answer[checksum]} if checksum in answer else {}))

    def _abort(self, error: BaseException | None) -> None:
        try:
            self._s3.abort_multipart_upload(**self._upload)
        except (ClientError, BotoCoreError) as failure:
            # What went wrong before matters more; the bucket's lifecycle rule for incomplete uploads is the second net.
            if error:
                error.add_note(f"upload {self._upload['UploadId']} was not aborted: {failure}")
