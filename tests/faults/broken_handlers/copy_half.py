"""The copy function, which copies only the first half of a payload."""

from claim_check import S3Object
from copy_payload import handler as correct
from shared.handoff import HandOff

copy_payload = correct.copy_payload


def _copy_half(handoff: HandOff) -> S3Object:
    landed = copy_payload(handoff)
    payload = correct.s3.get_object(Bucket=landed.bucket, Key=landed.key)["Body"].read()
    correct.s3.put_object(Bucket=landed.bucket, Key=landed.key, Body=payload[: len(payload) // 2])
    return landed


correct.copy_payload = _copy_half
handler = correct.handler
