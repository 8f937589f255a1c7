"""The function that lands payloads, had nobody thought of copies that break off."""

from typing import Any

from claim_check import S3Object
from copy_payload import handler as careful
from copy_payload.copy import copy_payload
from shared.handoff import HandOff


def _copy_half(handoff: HandOff, **settings: Any) -> S3Object:
    landed = copy_payload(handoff, **settings)
    whole = careful.s3.get_object(Bucket=landed.bucket, Key=landed.key)["Body"].read()
    careful.s3.put_object(Bucket=landed.bucket, Key=landed.key, Body=whole[: len(whole) // 2])
    return landed


careful.copy_payload = _copy_half  # type: ignore[attr-defined]
handler = careful.handler
