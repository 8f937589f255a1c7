"""Publishing of an event of the bus: its detail is the payload, its envelope becomes attributes."""

import json
from typing import Any

from claim_check import Attribute, InvalidMessage, Published, Publisher, group_id_of
from publish.upload import UPLOAD_SOURCE

_FIELDS = ("source", "detail-type", "account", "time")


def publish_event(event: dict[str, Any], *, publisher: Publisher) -> Published:
    """Publish an EventBridge event.

    The payload is the detail as compact JSON in UTF-8, with its keys in the sender's order. The message's id is the
    event's id, so that a retry is the same message. The event's `source`, `detail-type`, `account` and `time` become
    attributes, and so do its `resources`, if it has any, as a `String.Array`. EventBridge sets `account`, so a sender
    cannot forge it. In a FIFO topic the account and the source are the message group.

    A number with more digits than a double is rounded.

    Raises:
        InvalidMessage: The source is that of uploads, or the detail contains an infinite number (1e400) or half of a
            surrogate pair, or is nested too deeply.
        ClaimCheckError: The errors of `Publisher.publish`.
    """
    source, account = event["source"], event["account"]
    if source.casefold() == UPLOAD_SOURCE:
        raise InvalidMessage(f"source = {source!r}: is reserved for uploads; choose another source")
    try:
        payload = json.dumps(event["detail"], separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise InvalidMessage("detail: is nested too deeply") from None
    except ValueError:
        raise InvalidMessage("detail: has a number that is infinite in Python, such as 1e400") from None
    attributes: dict[str, Any] = {name: event[name] for name in _FIELDS if name in event}
    if event.get("resources"):
        attributes["resources"] = Attribute("String.Array", json.dumps(event["resources"], ensure_ascii=False))
    return publisher.publish(
        payload,
        message_id=event["id"],
        attributes=attributes,
        group_id=group_id_of(f"{account}/bus/{source}") if publisher.fifo else None,
    )
