"""An application that publishes with the library, as a function: what it is handed names messages, not their bytes.

It answers with the ids of those that failed, and publishes them again, under the same ids, when it is asked again.
"""

from __future__ import annotations

import json
import os
from typing import Any

from claim_check import Entry, Publisher, Store
from faults.message import Message

publisher = Publisher(
    topic_arn=os.environ["TOPIC_ARN"],
    store=Store.from_dict(json.loads(os.environ["STORE"])),
    threshold=int(os.environ["THRESHOLD_BYTES"]),
)


def handler(event: dict[str, Any], _: object) -> dict[str, str]:
    """One message is published alone, several in one batch. Answers with the errors by message id."""
    messages = [Message.from_dict(fields) for fields in event["messages"]]
    if len(messages) == 1:
        (message,) = messages
        publisher.publish(message.payload, message_id=message.id)
        return {}
    entries = [Entry(payload=message.payload, message_id=message.id) for message in messages]
    outcomes = publisher.publish_batch(entries)
    return {str(each.message_id): repr(each.error) for each in outcomes if each.error}
