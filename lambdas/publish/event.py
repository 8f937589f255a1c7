"""Publishing of an event of the bus: its detail is the payload, its envelope becomes attributes."""

import json
from typing import Any

from claim_check import Published, Publisher, group_id_of


def publish_event(event: dict[str, Any], *, publisher: Publisher) -> Published:
    """Publish an EventBridge event.

    The payload is the detail as compact JSON in UTF-8, with its keys in the sender's order. The message's id is the
    event's id, so that a retry is the same message. EventBridge sets `account`, so a sender cannot forge it. In a FIFO
    topic the source is the message group.

    A number that Python reads as infinite (1e400) is rejected. A number with more digits than a double is rounded.

    Raises:
        ValueError: The detail contains an infinite number.
        ClaimCheckError: The errors of `Publisher.publish`.
    """
    return publisher.publish(
        json.dumps(event["detail"], separators=(",", ":"), ensure_ascii=False, allow_nan=False),
        message_id=event["id"],
        attributes={name: event[name] for name in ("source", "detail-type", "account")},
        group_id=group_id_of(event["source"]) if publisher.fifo else None,
    )
