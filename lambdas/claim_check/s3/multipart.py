"""A multipart upload to S3: parts sent by threads, then completed or aborted."""

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

    from claim_check.store import S3Object

MAXIMUM_PARTS = 10_000


class MultipartUpload:
    """A context manager for one upload. Leaving it without `complete` aborts the upload.

    Up to `workers` calls run at a time, and `upload` and `copy` wait for a free worker. So the memory holds `workers`
    bodies of parts, and the waiting one. boto's error for a part is raised by a later `upload`, `copy` or `complete`.
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
        target: S3Object,
        *,
        algorithm: Literal["CRC32", "CRC64NVME"],
        checksum_type: Literal["COMPOSITE", "FULL_OBJECT"],
        workers: int,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        """Begin an upload to `target`. S3 stores checksums of this algorithm and type."""
        place: dict[str, Any] = {"Bucket": target.bucket, "Key": target.key, "ExpectedBucketOwner": target.owner}
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
        # Wait for running part uploads first: S3 stores, and bills, a part that arrives after the abort.
        self._pool.shutdown(wait=True, cancel_futures=True)
        if not self._completed:
            self._abort(error)

    def upload(self, number: int, body: bytes, *, sent: Callable[[], object] = lambda: None) -> None:
        """Send part `number` (from 1) with a checksum that S3 verifies.

        `sent` is called when `body` is no longer needed, after success and after failure.
        """

        def send() -> Any:
            try:
                # The checksum is computed here and sent as a header. boto3 would send it after the body, and would copy
                # the body several times, in pieces of 16 KiB.
                crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
                response = self._s3.upload_part(**self._upload, PartNumber=number, Body=body, ChecksumCRC32=crc32)
                return {"ETag": response["ETag"], "ChecksumCRC32": crc32}
            finally:
                sent()

        self._add(number, send)

    def copy(self, number: int, *, first: int, last: int, source: Mapping[str, Any]) -> None:
        """Copy the bytes `first` to `last` (inclusive) of an object in S3 as part `number`."""
        self._add(
            number,
            lambda: self._s3.upload_part_copy(
                **self._upload, PartNumber=number, CopySourceRange=f"bytes={first}-{last}", **source
            )["CopyPartResult"],
        )

    def complete(self, *, size: int, only_if_new: bool) -> CompleteMultipartUploadOutputTypeDef:
        """Complete the object from all parts, in order.

        S3 rejects parts whose sizes do not add up to `size`. With `only_if_new`, S3 rejects a key that exists (status
        412) or that another writer completes at the same time (409).
        """
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
        response = call()
        checksum = f"Checksum{self._algorithm}"
        part = {"PartNumber": number, "ETag": response["ETag"]}
        return cast("CompletedPartTypeDef", part | ({checksum: response[checksum]} if checksum in response else {}))

    def _abort(self, error: BaseException | None) -> None:
        try:
            self._s3.abort_multipart_upload(**self._upload)
        except (ClientError, BotoCoreError) as failure:
            # The first error matters more. The bucket's lifecycle rule for incomplete uploads deletes the parts later.
            if error:
                error.add_note(f"upload {self._upload['UploadId']} was not aborted: {failure}")
