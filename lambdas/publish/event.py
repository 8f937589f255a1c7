"""An event of the bus becomes a message: its detail is the payload, its envelope the attributes."""

import json
from typing import Any

from claim_check import Published, Publisher
from publish.group import group_id


def publish_event(event: dict[str, Any], *, publisher: Publisher) -> Published:
    """Publish an EventBridge event.

    The payload is the detail as compact JSON, keys in the sender's order, UTF-8. The message's id is the event's own,
    so that a second try is the same message. `account` is EventBridge's word on who sent it, not the sender's. In a
    FIFO topic the source is the message group. A number that Python can only read as infinite (1e400) is refused; one
    with more digits than a double holds is rounded.

    Raises:
        ValueError: the detail holds such a number.
        ClaimCheckError: as `Publisher.publish`.
    """
    return publisher.publish(
        json.dumps(event["detail"], separators=(",", ":"), ensure_ascii=False, allow_nan=False),
        message_id=event["id"],
        attributes={name: event[name] for name in ("source", "detail-type", "account")},
        group_id=group_id(event["source"]) if publisher.fifo else None,
    )
