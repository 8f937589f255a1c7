"""The way in for events: one put on the publisher's bus, refused here when it is too large for EventBridge."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from claim_check.errors import InvalidMessage, PayloadTooLarge

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient

LARGEST_ENTRY = 1_000_000
"""Bytes. An entry, and a whole request, has to be less than 1 MB (EventBridge API reference, PutEvents; 256 KB until
2026), and what wraps an event that nobody could handle, of EventBridge's and of Lambda's, has to fit into a dead-letter
queue's 1 MiB beside it, or the event is lost."""

_time = 14
_bus = re.compile(r"arn:aws[a-z-]*:events:(?P<region>[a-z0-9-]+):[0-9]{12}:event-bus/[A-Za-z0-9/._-]{1,256}")


def entry_size(entry: Mapping[str, Any]) -> int:
    """Bytes of an entry of PutEvents, as EventBridge counts them: 14 for a Time; Source, DetailType, Detail and each of
    Resources in UTF-8; nothing for the bus. (EventBridge user guide, "Calculating PutEvents event entry size".)"""
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")] + list(entry.get("Resources") or [])
    return sum(len(text.encode()) for text in texts) + (_time if entry.get("Time") is not None else 0)


def refuse_too_large(entry: Mapping[str, Any]) -> None:
    """Raises PayloadTooLarge for an entry of PutEvents that EventBridge would refuse for its size, or that a
    dead-letter queue might."""
    size = entry_size(entry)
    if size > LARGEST_ENTRY:
        raise PayloadTooLarge(
            f"the event has {size} bytes, more than {LARGEST_ENTRY}: upload its detail to the "
            "sender's folder of the outbox instead, where any size will do"
        )


def put_event(
    *,
    bus: str,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any] | str,
    resources: Sequence[str] = (),
    events: EventBridgeClient | None = None,
) -> str:
    """Puts one event on the bus with this ARN; answers its id, which is the message's id, too.

    `detail` is a JSON object, or its text as it is to be sent. `events` is a client of the bus's Region, made when
    None. Putting an event again makes another event, with an id of its own: after an error whose outcome is not known,
    a subscriber may see both.

    Raises ValueError for a `bus` that is no ARN, PayloadTooLarge and InvalidMessage before anything is sent, and
    what boto raises; ClientError("PutEvents") too when EventBridge took the request and refused the event.
    """
    place = _bus.fullmatch(bus)
    if not place:
        raise ValueError(f"bus = {bus!r}: must be an event bus's ARN")
    entry: Any = {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": _text(detail)}
    if resources:
        entry["Resources"] = list(resources)
    refuse_too_large(entry)
    answer = (events or _client(place["region"])).put_events(Entries=[entry])
    (outcome,) = answer["Entries"]
    if "EventId" not in outcome:
        said = {"Code": outcome.get("ErrorCode", "NoAnswer"), "Message": outcome.get("ErrorMessage", "no reason given")}
        response: Any = {"Error": said, "ResponseMetadata": answer.get("ResponseMetadata", {})}
        raise ClientError(response, "PutEvents")
    return outcome["EventId"]


def _text(detail: Mapping[str, Any] | str) -> str:
    try:
        if isinstance(detail, str):
            whole, text = json.loads(detail), detail
        else:
            whole, text = detail, json.dumps(detail, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise InvalidMessage(f"detail: is not JSON: {error}") from None
    if not isinstance(whole, Mapping):
        raise InvalidMessage("detail: must be a JSON object; EventBridge takes no other")
    return text


def _client(region: str) -> EventBridgeClient:
    import boto3  # late, as in s3.py

    return boto3.client("events", region_name=region)
