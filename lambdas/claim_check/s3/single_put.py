"""One PutObject of a large blob, which is read once: its SHA-256 is computed while it is sent, and sent after it.

boto can do so, but does not return the digest, and copies the body several times, in pieces of 16 KiB.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from threading import local
from typing import TYPE_CHECKING, Any

from claim_check.memory import PIECE_BYTES
from claim_check.s3.multipart import PartBody
from claim_check.s3.response import required
from claim_check.s3.workers import stopping

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CHECKSUM = "x-amz-checksum-sha256"


class _Put(local):
    """What the present thread sends: its body and the check at its end, and the SHA-256 (hex) of what was sent."""

    body: PartBody | None = None
    at_end: Callable[[], object]
    sha256: str


_put = _Put()


class _ChunkedBody:
    """The present thread's body in S3's encoding aws-chunked, with its SHA-256 in the trailer."""

    def __init__(self, body: PartBody) -> None:
        self._body = body
        self._has_ended = False
        self.seek(0)

    def read(self, _size: int = -1) -> bytes:
        """Return the next chunk, of up to 256 KiB, or no bytes at the end."""
        if self._has_ended:
            return b""
        if piece := self._body.read(PIECE_BYTES):
            self._sha256.update(piece)
            return b"".join((b"%x\r\n" % len(piece), piece, b"\r\n"))
        with stopping():
            _put.at_end()
        self._has_ended, _put.sha256 = True, self._sha256.hexdigest()
        return b"0\r\n%b:%b\r\n\r\n" % (_CHECKSUM.encode(), base64.b64encode(self._sha256.digest()))

    def seek(self, offset: int) -> None:
        """Move to the first byte, to send the body again."""
        self._body.seek(offset)
        self._sha256, self._has_ended = hashlib.sha256(), False


def put_blob(s3: S3Client, body: PartBody, *, at_end: Callable[[], object], **parameters: Any) -> str:
    """Write a blob in one request, and return the SHA-256 (hex) of the bytes that were sent. S3 verifies it.

    If `at_end`, called after the last byte, raises an error, S3 stores nothing.
    """
    s3.meta.events.register("before-send.s3.PutObject", _before_send, unique_id="claim-check-put")
    content: Any = body
    _put.body, _put.at_end = body, at_end
    try:
        required(s3.put_object(Body=content, ChecksumAlgorithm="SHA256", **parameters), "ETag")
    finally:
        _put.body = None
    return _put.sha256


def _before_send(request: Any, **_: object) -> None:
    if _put.body is None:
        return
    if digest := request.headers.get(_CHECKSUM):  # without TLS, boto has computed it before
        with stopping():
            _put.at_end()
        _put.sha256 = base64.b64decode(digest).hex()
    else:
        request.headers.pop("Expect", None)  # boto would wait for a response before it sends the body
        request.body = _ChunkedBody(_put.body)
