"""Size and checksums of an object, as S3 reports them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

from claim_check.s3.response import complete


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
        sha256 = _whole(head, "ChecksumSHA256")
        return cls(
            size=complete(head)["ContentLength"],
            sha256=base64.b64decode(sha256).hex() if sha256 else None,
            crc64nvme=_whole(head, "ChecksumCRC64NVME"),
            crc32=_whole(head, "ChecksumCRC32"),
            etag=head["ETag"],
        )


def _whole(head: Mapping[str, Any], name: str) -> str | None:
    value = head.get(name)
    # Older servers and botocore return no ChecksumType. The number of parts marks the value in any case.
    return None if value is None or "-" in value or head.get("ChecksumType") == "COMPOSITE" else value
