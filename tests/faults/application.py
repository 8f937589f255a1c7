"""An application that publishes with the library, as a function. Its events contain messages without their payloads.

The function returns the errors by message id. The senders invoke it again for failed messages, with the same ids.
"""

from __future__ import annotations

import os
from typing import Any

from claim_check import Entry, Publisher
from publish.settings import Settings
from tests.faults.message import CampaignMessage

settings = Settings.from_environment(os.environ)


def _publisher(topic_arn: str) -> Publisher:
    return Publisher(topic_arn=topic_arn, store=settings.payload_store, threshold=settings.threshold_bytes)


publisher = _publisher(settings.topic_arn)
fifo_publisher = _publisher(os.environ["FIFO_TOPIC_ARN"])


def handler(event: dict[str, Any], _: object) -> dict[str, str]:
    """Publish one message alone, or several messages in one batch. Return the errors by message id."""
    messages = [CampaignMessage(**fields) for fields in event["messages"]]
    if len(messages) == 1:
        (message,) = messages
        topic = fifo_publisher if message.group else publisher
        topic.publish(message.payload, message_id=message.id, group_id=message.group)
        return {}
    entries = [Entry(payload=message.payload, message_id=message.id) for message in messages]
    outcomes = publisher.publish_batch(entries)
    return {str(outcome.message_id): repr(outcome.error) for outcome in outcomes if outcome.error}
