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
from claim_check.s3.response import NotFromService, required
from claim_check.s3.workers import stopping

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CHECKSUM = "x-amz-checksum-sha256"


class _ChunkedBody:
    """A body in S3's encoding aws-chunked, with its SHA-256 in the trailer.

    `sha256` (hex) is that of the sent bytes, and empty before the last one is sent.
    """

    def __init__(self, body: PartBody, at_end: Callable[[], object]) -> None:
        self._body = body
        self._at_end = at_end
        self.seek(0)

    def read(self, _size: int = -1) -> bytes:
        """Return the next chunk, of up to 256 KiB, or no bytes at the end."""
        if self.sha256:
            return b""
        if piece := self._body.read(PIECE_BYTES):
            self._digest.update(piece)
            return b"".join((b"%x\r\n" % len(piece), piece, b"\r\n"))
        self.end(self._digest.digest())
        return b"0\r\n%b:%b\r\n\r\n" % (_CHECKSUM.encode(), base64.b64encode(self._digest.digest()))

    def end(self, sha256: bytes) -> None:
        """Note the SHA-256 of all bytes, after a check of the blob's end."""
        with stopping():
            self._at_end()
        self.sha256 = sha256.hex()

    def seek(self, offset: int) -> None:
        """Move to the first byte, to send the body again."""
        self._body.seek(offset)
        self._digest, self.sha256 = hashlib.sha256(), ""


class _Sending(local):
    """The body that the present thread sends."""

    body: _ChunkedBody | None = None


_sending = _Sending()


def put_blob(s3: S3Client, body: PartBody, *, at_end: Callable[[], object], **parameters: Any) -> str:
    """Write a blob in one request, and return the SHA-256 (hex) of the sent bytes. S3 verifies it.

    If `at_end`, called after the last byte, raises an error, S3 stores nothing. Raises NotFromService for a response of
    success before all bytes were sent.
    """
    s3.meta.events.register("before-send.s3.PutObject", _before_send, unique_id="claim-check-put")
    content: Any = body
    _sending.body = sent = _ChunkedBody(body, at_end)
    try:
        required(s3.put_object(Body=content, ChecksumAlgorithm="SHA256", **parameters), "ETag")
    finally:
        _sending.body = None
    if not sent.sha256:
        raise NotFromService(member="complete request before it")
    return sent.sha256


def _before_send(request: Any, **_: object) -> None:
    body = _sending.body
    if body is None:
        return
    if digest := request.headers.get(_CHECKSUM):  # without TLS, boto has computed it before
        body.end(base64.b64decode(digest))
    else:
        request.headers.pop("Expect", None)  # boto would wait for a response before it sends the body
        body.seek(0)
        request.body = body
