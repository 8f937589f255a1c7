"""An application that publishes with the library, as a function: what it is handed names messages, not their bytes.

It answers with the ids of those that failed, and publishes them again, under the same ids, when it is asked again.
"""

from __future__ import annotations

import json
import os
from typing import Any

from claim_check import Entry, Publisher, Store
from tests.faults.message import Message


def _publisher(topic_arn: str) -> Publisher:
    return Publisher(
        topic_arn=topic_arn,
        store=Store.from_dict(json.loads(os.environ["PAYLOAD_STORE"])),
        threshold=int(os.environ["THRESHOLD_BYTES"]),
    )


publisher = _publisher(os.environ["TOPIC_ARN"])
ordered = _publisher(os.environ["FIFO_TOPIC_ARN"])


def handler(event: dict[str, Any], _: object) -> dict[str, str]:
    """One message is published alone, several in one batch. Answers with the errors by message id."""
    messages = [Message.from_dict(fields) for fields in event["messages"]]
    if len(messages) == 1:
        (message,) = messages
        topic = ordered if message.group else publisher
        topic.publish(message.payload, message_id=message.id, group_id=message.group)
        return {}
    entries = [Entry(payload=message.payload, message_id=message.id) for message in messages]
    outcomes = publisher.publish_batch(entries)
    return {str(each.message_id): repr(each.error) for each in outcomes if each.error}
