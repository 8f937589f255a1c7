"""The function that lands payloads, had nobody thought of copies that break off."""

from collections.abc import Mapping
from typing import Any

from copy_payload import handler as careful
from copy_payload.copy import land


def _land_half(handed: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    landed = land(handed, **settings)
    place = {"Bucket": landed["bucket"], "Key": landed["key"]}
    whole = careful.s3.get_object(**place)["Body"].read()
    careful.s3.put_object(**place, Body=whole[: len(whole) // 2])
    return landed


careful.land = _land_half  # type: ignore[attr-defined]
handler = careful.handler
