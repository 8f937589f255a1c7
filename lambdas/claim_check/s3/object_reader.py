"""Reading a payload's object from a store or a replica, as one stream across dropped connections."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    ClientError,
    FlexibleChecksumError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from claim_check.errors import PayloadCorrupt, PayloadUnavailable
from claim_check.s3.client import code, s3_errors
from claim_check.s3.copy import Copied, copy_object
from claim_check.s3.reported import Reported

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.client import S3Client

    from claim_check.store import Replica, S3Object
    from claim_check.wire.claim import Claim
    from claim_check.wire.pointer import Pointer

MAXIMUM_RESUMES = 5
_FIRST_PAUSE_SECONDS = 0.05  # doubled before each resume


class ObjectReader:
    """The bytes of an object in a store.

    `size` and `claim` are as the message declares them. If `replica` is not None, it is read instead of the
    store's bucket. `s3` is a client of the Region that is read. `label` names the object in errors.
    """

    def __init__(
        self,
        s3: S3Client,
        *,
        stored: S3Object,
        size: int,
        claim: Claim,
        replica: Replica | None = None,
    ) -> None:
        self.label = f"the payload's replica in {replica.bucket}" if replica else "the payload"
        self._s3 = s3
        self._source = stored._replace(bucket=replica.bucket, region=replica.region) if replica else stored
        self.pointer: Pointer | None = stored.pointer
        self._size = size
        self._claim = claim

    def chunks(self, size: int) -> Generator[bytes]:
        """Yield all bytes, `size` at a time.

        A dropped connection is resumed at its offset, up to five times, if the object still has the same ETag. Closing
        the generator closes the connection.
        """
        offset, etag = 0, None
        for drops in count():
            body, etag = self._open(offset, etag)
            try:
                with closing(body):
                    while chunk := body.read(size):
                        offset += len(chunk)
                        yield chunk
            except FlexibleChecksumError as error:
                raise PayloadCorrupt(
                    f"{self.label}: the received bytes differ from S3's checksum", **self._known
                ) from error
            except Exception as error:
                if not _is_drop(error):
                    raise
                if drops == MAXIMUM_RESUMES:
                    raise PayloadUnavailable(
                        f"the connection dropped {MAXIMUM_RESUMES + 1} times; {offset} of {self._size} bytes were read",
                        **self._known,
                    ) from error
                time.sleep(_FIRST_PAUSE_SECONDS * 2**drops)
            else:
                return

    def reported(self) -> Reported:
        """Return S3's figures of the object, by one HeadObject. Raises PayloadMissing or PayloadUnavailable."""
        with s3_errors(f"look at {self.label}", **self._known):
            return Reported.of(self._s3.head_object(**self._object, ChecksumMode="ENABLED"))

    def copy_to(self, s3: S3Client, target: S3Object) -> Copied:
        """Copy the object in S3, if its size and S3's checksum match the message."""
        with s3_errors(f"look at {self.label}", **self._known):
            head = self._s3.head_object(**self._object, ChecksumMode="ENABLED")
        self._compare(head, 0)
        with s3_errors(f"copy {self.label} to {target.pointer}", **self._known):
            copied = copy_object(s3, source=self._source, target=target, size=self._size, etag=head["ETag"])
        if _differ(copied.crc64nvme, head.get("ChecksumCRC64NVME")):
            raise PayloadCorrupt("S3's CRC64NVME of the copy is not the source's", **self._known)
        return copied

    def _open(self, offset: int, etag: str | None) -> tuple[StreamingBody, str | None]:
        request = self._object
        if offset:
            request |= {"Range": f"bytes={offset}-"} | ({"IfMatch": etag} if etag else {})
        if self._claim.sha256 is None:
            request["ChecksumMode"] = "ENABLED"  # the message has no digest, so S3's checksum is compared instead
        with s3_errors(f"read {self.label}", **self._known):
            try:
                response = self._s3.get_object(**request)
            except ClientError as error:
                if code(error) == "PreconditionFailed":
                    raise PayloadUnavailable(
                        "the object was replaced while it was read: read it again", **self._known
                    ) from error
                raise
        try:
            self._compare(response, offset)
        except PayloadCorrupt:
            response["Body"].close()
            raise
        return response["Body"], response.get("ETag")

    def _compare(self, response: Mapping[str, Any], offset: int) -> None:
        size = offset + response["ContentLength"]
        if size != self._size:
            raise PayloadCorrupt(
                f"{self.label} has {size} bytes, the message declares {self._size}",
                **self._known,
            )
        if _differ(self._claim.crc64nvme, response.get("ChecksumCRC64NVME")):
            raise PayloadCorrupt(f"S3's CRC64NVME of {self.label} differs from the message", **self._known)

    @property
    def _object(self) -> dict[str, Any]:
        return {"Bucket": self._source.bucket, "Key": self._source.key, "ExpectedBucketOwner": self._source.owner}

    @property
    def _known(self) -> dict[str, Any]:
        return {"pointer": self.pointer, "message_id": self._claim.id}


def _is_drop(error: Exception) -> bool:
    # Imported late, as in s3_client. botocore translates most errors of urllib3 while a body is read, but not TLS
    # errors.
    from urllib3.exceptions import HTTPError

    return isinstance(error, IncompleteReadError | ReadTimeoutError | ResponseStreamingError | HTTPError)


def _differ(first: str | None, second: str | None) -> bool:
    return first is not None and second is not None and first != second
