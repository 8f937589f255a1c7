"""Events on the publisher's bus. An event that is too large for EventBridge is rejected before it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from claim_check.errors import InvalidMessage, PayloadTooLarge
from claim_check.s3.client import boto_client
from claim_check.service_errors import is_service_error, messaging_error

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient

MAXIMUM_ENTRY_BYTES = 1_000_000
"""EventBridge's limit of an entry, and of a whole request, is 1 MB (API reference, PutEvents; 256 KB until 2026).

A dead letter of the event has to fit into SQS's 1 MiB, with the fields that EventBridge or Lambda add. Otherwise the
event is lost."""

_bus = re.compile(r"arn:aws[a-z-]*:events:(?P<region>[a-z0-9-]+):[0-9]{12}:event-bus/[A-Za-z0-9/._-]{1,256}")


def put_event(
    *,
    bus: str,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any] | str,
    resources: Sequence[str] = (),
    events: EventBridgeClient | None = None,
) -> str:
    """Put one event on the bus with the ARN `bus`. Returns the event's id, which is also the message's id.

    `detail` is a JSON object, or its text. `events` is a client of the bus's Region, made if None. Each call puts a new
    event with a new id. After an error without a known outcome, a retry can therefore publish the event twice.

    Raises:
        ValueError: `bus` is not an event bus's ARN.
        InvalidMessage: `detail` is not a JSON object. Nothing was sent.
        PayloadTooLarge: The event exceeds EventBridge's limit. Nothing was sent.
        MessagingDenied: EventBridge refused the event. It can do so in a response with status 200.
        MessagingUnavailable: EventBridge failed, or was not reached. The event may have been put.
    """
    place = _bus.fullmatch(bus)
    if not place:
        raise ValueError(f"bus = {bus!r}: must be an event bus's ARN")
    text = _text(detail)
    # As EventBridge counts (user guide, "Calculating PutEvents event entry size"): the bus does not count.
    size = sum(len(part.encode()) for part in (source, detail_type, text, *resources))
    if size > MAXIMUM_ENTRY_BYTES:
        raise PayloadTooLarge(
            f"the event has {size} bytes, more than {MAXIMUM_ENTRY_BYTES}: upload its detail to the sender's folder of "
            "the outbox instead"
        )
    entry: Any = {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": text}
    if resources:
        entry["Resources"] = list(resources)
    try:
        return _put(events or _client(place["region"]), entry)
    except Exception as error:
        if not is_service_error(error):
            raise
        raise messaging_error(error, "put the event", service="EventBridge") from error


def _put(events: EventBridgeClient, entry: Any) -> str:
    response = events.put_events(Entries=[entry])
    (result,) = response["Entries"]
    if "EventId" not in result:
        reason = {"Code": result.get("ErrorCode", "NoResult"), "Message": result.get("ErrorMessage", "no reason given")}
        error: Any = {"Error": reason, "ResponseMetadata": response.get("ResponseMetadata", {})}
        raise ClientError(error, "PutEvents")
    return result["EventId"]


def _text(detail: Mapping[str, Any] | str) -> str:
    try:
        if isinstance(detail, str):
            parsed, text = json.loads(detail), detail
        else:
            parsed, text = detail, json.dumps(detail, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError) as error:
        raise InvalidMessage(f"detail: is not JSON: {error}") from None
    if not isinstance(parsed, Mapping):
        raise InvalidMessage("detail: must be a JSON object; EventBridge accepts no other value")
    return text


def _client(region: str) -> EventBridgeClient:
    client: EventBridgeClient = boto_client("events", region)
    return client
