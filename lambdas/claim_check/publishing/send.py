"""One call for a sender: an event, or an upload to the sender's folder of the outbox if the event is too large."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from claim_check.errors import PayloadTooLarge
from claim_check.publishing.event import bus_place, detail_text, put_event
from claim_check.s3.client import S3Clients, S3Source, s3_errors
from claim_check.s3.response import required

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient

_outbox = re.compile(r"s3://(?P<bucket>[a-z0-9.-]{3,63})/(?P<folder>[^/]+/[^/]+/)")


class Sent(NamedTuple):
    """A sent message: its id, and for an upload its key in the bucket. `key` is None for an event."""

    message_id: str
    key: str | None = None


def send(
    *,
    bus: str,
    outbox: str,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any] | str,
    resources: Sequence[str] = (),
    events: EventBridgeClient | None = None,
    s3: S3Source | None = None,
) -> Sent:
    """Put an event on the bus, or upload its detail to the outbox if it is too large for an event.

    `bus` is the ARN of the publisher's bus, and `outbox` the URI of the sender's folder, such as
    `s3://coatcheck-payloads-111111111111-us-east-1/outbox/shop/`: outputs of the sender's stack. The payload is the
    same JSON in both cases. An upload has the attributes `event-source` and `event-detail-type`, because the attribute
    `source` of an upload is "outbox". An upload has no `resources`.

    `events` and `s3` are clients of the bus's Region, made if None. Each call sends a new message with a new id. After
    an error without a known outcome, a retry can therefore send the message twice.

    Raises:
        ValueError: `bus` or `outbox` does not have its form.
        ClaimCheckError: The errors of `put_event`, and for an upload PayloadDenied or PayloadUnavailable.
    """
    place, folder = bus_place(bus), _outbox.fullmatch(outbox)
    if not folder:
        raise ValueError(f"outbox = {outbox!r}: must be the URI of a folder, such as 's3://bucket/outbox/shop/'")
    event: Any = {"source": source, "detail_type": detail_type, "resources": resources}
    try:
        return Sent(put_event(bus=bus, detail=detail, events=events, **event))
    except PayloadTooLarge:
        key = f"{folder['folder']}{uuid.uuid4()}.json"
    with s3_errors("upload the detail", pointer=(folder["bucket"], key), message_id=None):
        response = (
            S3Clients(s3)
            .client(place["region"])
            .put_object(
                Bucket=folder["bucket"],
                Key=key,
                Body=detail_text(detail).encode(),
                ExpectedBucketOwner=place["account"],
                ContentType="application/json",
                Metadata={"event-source": _ascii(source), "event-detail-type": _ascii(detail_type)},
            )
        )
        return Sent(upload_id(key, required(response, "VersionId")), key)


def upload_id(key: str, version: str) -> str:
    """Return the message id of an upload: a digest, because key and version can be too long for an id."""
    return hashlib.sha256(f"{key}\n{version}".encode()).hexdigest()[:32]


def _ascii(text: str) -> str:
    """Return the text as a value of metadata: itself, or encoded as in RFC 2047."""
    is_plain = text.isascii() and text.isprintable() and "=?" not in text
    return text if is_plain else f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="
