"""The proof of a payload that is not read: S3's own checksum is the one that the message declares."""

from __future__ import annotations

from typing import Literal, NamedTuple

from claim_check.errors import PayloadCorrupt
from claim_check.s3.reported import Reported
from claim_check.wire.claim import Claim
from claim_check.wire.pointer import Pointer

Checksum = Literal["sha256", "crc64nvme", "crc32"]
_LABELS: dict[Checksum, str] = {"sha256": "SHA-256", "crc64nvme": "CRC64NVME", "crc32": "CRC32"}  # the strongest first


class Proof(NamedTuple):
    """The proof of a payload without reading it. Its size is the declared one.

    `checksum` names the strongest checksum that the message declares and S3 reports: both are equal, so the stored
    bytes are the published ones. It is None if they have none in common. Then only the size is proved, and `reported`
    is S3's report about the object.
    """

    checksum: Checksum | None
    reported: Reported


def prove(reported: Reported, *, size: int, claim: Claim, label: str, pointer: Pointer | None) -> Proof:
    """Compare the figures of the object `label` with the declared ones. Raises PayloadCorrupt if one differs."""
    common = [name for name in _LABELS if None not in (getattr(claim, name), getattr(reported, name))]
    compared = [("size", size, reported.size)]
    compared += [(_LABELS[name], getattr(claim, name), getattr(reported, name)) for name in common]
    for figure, declared, actual in compared:
        if declared != actual:
            raise PayloadCorrupt(
                f"{label} has the {figure} {actual!r}, the message declares {declared!r}",
                message_id=claim.id,
                pointer=pointer,
            )
    return Proof(common[0] if common else None, reported)
