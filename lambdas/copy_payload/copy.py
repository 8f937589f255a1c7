"""A copy of a payload in the landing bucket."""

from typing import TYPE_CHECKING

from claim_check import Dereferencer, S3Object, Store
from shared.handoff import HandOff

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def copy_payload(handoff: HandOff, *, dereferencer: Dereferencer, landing: Store, s3: "S3Client") -> S3Object:
    """Copy the payload in S3 to `landing.object_of(<message id>)`, and return the copy.

    Size and SHA-256 of the copy are compared with the hand-off. Above 5 GiB, S3 has no SHA-256 of the whole object, so
    the CRC64NVME of both objects is compared. Repeating the call writes the same bytes. `s3` is a client of the
    landing bucket's Region.

    Raises:
        ClaimCheckError: The errors of `HandOff.payload` and `Payload.copy_to`.
    """
    landed = landing.object_of(handoff.message_id)
    handoff.payload(dereferencer).copy_to(landed, s3=s3)
    return landed
