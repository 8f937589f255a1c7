"""Size and checksums of an object, as S3 reports them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from claim_check.s3.response import NotFromService, complete

_SHA256_BYTES = 32


class Reported(NamedTuple):
    """S3's figures of an object, or the same figures of bytes in memory.

    `size` is in bytes. `sha256` (hex), `crc64nvme` and `crc32` (base64) are checksums of the whole object, or None if
    S3 has none. A checksum of the parts' checksums (COMPOSITE, "…-7") is omitted: it depends on the parts' sizes.
    `etag` is None for bytes in memory.
    """

    size: int
    sha256: str | None = None
    crc64nvme: str | None = None
    crc32: str | None = None
    etag: str | None = None

    @classmethod
    def of(cls, head: Mapping[str, Any]) -> Reported:
        """Return the figures in the response to a HeadObject with `ChecksumMode="ENABLED"`. Raises NotFromService."""
        return cls(
            size=complete(head)["ContentLength"],
            sha256=hex_sha256(head),
            crc64nvme=_whole(head, "ChecksumCRC64NVME"),
            crc32=_whole(head, "ChecksumCRC32"),
            etag=head["ETag"],
        )


def hex_sha256(response: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of a whole object in S3's response, as hex, or None if it has none.

    Raises NotFromService if the value is not the base64 of 32 bytes.
    """
    value = _whole(response, "ChecksumSHA256")
    if value is None:
        return None
    with suppress(ValueError):
        if len(digest := base64.b64decode(value, validate=True)) == _SHA256_BYTES:
            return digest.hex()
    raise NotFromService(member="valid ChecksumSHA256")


def _whole(head: Mapping[str, Any], name: str) -> str | None:
    value = head.get(name)
    # Older servers and botocore return no ChecksumType. The number of parts marks the value in any case.
    return None if value is None or "-" in value or head.get("ChecksumType") == "COMPOSITE" else value
