"""The copy function, which copies only the first half of a payload."""

from typing import Any

from claim_check import S3Object
from copy_payload import handler as correct
from copy_payload.copy import copy_payload
from shared.handoff import HandOff


def _copy_half(handoff: HandOff, **settings: Any) -> S3Object:
    landed = copy_payload(handoff, **settings)
    payload = correct.s3.get_object(Bucket=landed.bucket, Key=landed.key)["Body"].read()
    correct.s3.put_object(Bucket=landed.bucket, Key=landed.key, Body=payload[: len(payload) // 2])
    return landed


correct.copy_payload = _copy_half  # type: ignore[attr-defined]
handler = correct.handler
