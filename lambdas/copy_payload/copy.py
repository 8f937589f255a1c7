"""A payload that was handed on is copied, across accounts and Regions, by S3 itself: no byte passes through here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from claim_check import Dereferencer, MalformedMessage, Pointer, Store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def land(handed: Mapping[str, Any], *, dereferencer: Dereferencer, landing: Store, s3: "S3Client") -> dict[str, Any]:
    """Have S3 copy a payload to `landing.object_of(<message id>)`; answers its place there, size and SHA-256.

    `handed` is what `Handover.to_input` made: `message_id`, `pointer`, and `bytes` and `sha256` in `summary`. Size and
    SHA-256 are compared on the way (above 5 GiB, where S3 gives no SHA-256 of the whole, its CRC64NVME of both). Doing
    so again is harmless: the same bytes take the place of the same bytes. `s3` is a client of the landing's Region.

    Raises:
        MalformedMessage: the input is not what a handover makes.
        ClaimCheckError: as `Payload.copy_to`.
    """
    match handed:
        case {
            "message_id": message_id,
            "pointer": {"bucket": str(bucket), "key": str(key)},
            "summary": {"bytes": size, "sha256": sha256},
        }:
            pointer = Pointer(bucket, key)
        case _:
            raise MalformedMessage("the input is not what is handed on: message_id, pointer and summary")
    payload = dereferencer.payload(pointer, size=size, message_id=message_id, sha256=sha256)
    landed = landing.object_of(message_id)
    payload.copy_to(landed, s3=s3)
    return {**landed.to_dict(), "bytes": size, "sha256": sha256}
