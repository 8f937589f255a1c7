"""Events on the publisher's bus. An event that is too large for EventBridge is rejected before it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from claim_check.errors import InvalidMessage, PayloadTooLarge
from claim_check.s3.client import boto_client, of_this_process
from claim_check.service_errors import is_service_error, messaging_error
from claim_check.wire.text import is_utf8

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient

MAXIMUM_ENTRY_BYTES = 1_000_000
"""EventBridge's limit of an entry, and of a whole request, is 1 MB (API reference, PutEvents; 256 KB until 2026).

A dead letter of the event has to fit into SQS's 1 MiB, with the fields that EventBridge or Lambda add. Otherwise the
event is lost."""

MAXIMUM_NESTING = 1_000
_INTEGERS = range(-(2**63), 2**63)
"""EventBridge's limits of a detail: levels, and integers of 64 bits. (API reference, PutEvents.)"""
_HALF = "has half of a surrogate pair, which UTF-8 cannot encode"

_bus = re.compile(
    r"arn:aws[a-z-]*:events:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):event-bus/[A-Za-z0-9/._-]{1,256}"
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
    """Put one event on the bus with the ARN `bus`. Returns the event's id, which is also the message's id.

    `detail` is a JSON object, or its text. `events` is a client of the bus's Region, made if None. Each call puts a new
    event with a new id. After an error without a known outcome, a retry can therefore publish the event twice.

    Raises:
        ValueError: `bus` is not an event bus's ARN.
        InvalidMessage: `detail` is not a JSON object that EventBridge accepts. Its text names the place. Nothing was
            sent.
        PayloadTooLarge: The event exceeds EventBridge's limit. Nothing was sent.
        MessagingDenied: EventBridge refused the event. It can do so in a response with status 200.
        MessagingUnavailable: EventBridge failed, or was not reached. The event may have been put.
    """
    place, text = bus_place(bus), detail_text(detail)
    for name, part in (("source", source), ("detail_type", detail_type), *(("resources", each) for each in resources)):
        if not is_utf8(part):
            raise InvalidMessage(f"{name}: {_HALF}")
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
        return _put(of_this_process(events) or _client(place["region"]), entry)
    except Exception as error:
        if not is_service_error(error):
            raise
        raise messaging_error(error, "put the event", service="EventBridge") from error


def _put(events: EventBridgeClient, entry: Any) -> str:
    response = events.put_events(Entries=[entry])
    result: Any = next(iter(response.get("Entries", ())), {})
    if "EventId" not in result:
        reason = {"Code": result.get("ErrorCode", "NoResult"), "Message": result.get("ErrorMessage", "no reason given")}
        error: Any = {"Error": reason, "ResponseMetadata": response.get("ResponseMetadata", {})}
        raise ClientError(error, "PutEvents")
    event_id: str = result["EventId"]
    return event_id


def bus_place(bus: str) -> re.Match[str]:
    """Return the match of a bus's ARN, with the groups `region` and `account`. Raises ValueError for another text."""
    place = _bus.fullmatch(bus)
    if not place:
        raise ValueError(f"bus = {bus!r}: must be an event bus's ARN")
    return place


def detail_text(detail: Mapping[str, Any] | str) -> str:
    """Return the detail as JSON. Raises InvalidMessage if EventBridge or the publish function would reject it."""
    too_deep = InvalidMessage(f"detail: is nested more than {MAXIMUM_NESTING} levels deep")
    try:
        parsed = json.loads(detail) if isinstance(detail, str) else detail
    except RecursionError:
        raise too_deep from None
    except ValueError as error:
        raise InvalidMessage(f"detail: is not JSON: {error}") from None
    if not isinstance(parsed, Mapping):
        raise InvalidMessage("detail: must be a JSON object; EventBridge accepts no other value")
    _require_accepted(parsed)
    if isinstance(detail, str):
        return detail
    try:
        return json.dumps(parsed, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise too_deep from None
    except (ValueError, TypeError) as error:
        raise InvalidMessage(f"detail: is not JSON: {error}") from None


def _require_accepted(detail: Mapping[str, Any]) -> None:
    """Raise InvalidMessage, with the place, for a value that EventBridge or the publish function rejects."""
    values: list[tuple[str, int, Any]] = [("detail", 1, detail)]
    while values:
        place, level, value = values.pop()
        if level > MAXIMUM_NESTING:
            raise InvalidMessage(f"detail: is nested more than {MAXIMUM_NESTING} levels deep")
        match value:
            case str() if not is_utf8(value):
                raise InvalidMessage(f"{place}: {_HALF}")
            case int() if value not in _INTEGERS:
                raise InvalidMessage(f"{place}: is an integer of more than 64 bits; pass it as text")
            case Mapping():
                for name, item in value.items():
                    values += [(f"a key in {place}", level, name), (f"{place}.{name}", level + 1, item)]
            case list() | tuple():
                values += [(f"{place}[{index}]", level + 1, item) for index, item in enumerate(value)]


def _client(region: str) -> EventBridgeClient:
    client: EventBridgeClient = boto_client("events", region)
    return client
