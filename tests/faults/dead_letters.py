"""What failed for good, and is sent back where it failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.faults.environment import QUEUES, Site
from tests.faults.functions import Reply
from tests.faults.identity import delivered_id, notified_id, posted_id, published_id
from tests.faults.invocations import Invocations

REASON = "DeadLetterReason"
ATTEMPTS = {"publish": 3, "billing": 3, "partner": 4, "landing": 6}
"""How often a function is invoked until it answers: by Lambda for EventBridge and SNS; by SNS, which posts 29 times; by
the state machine."""

_ID: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "publish": published_id,
    "billing": notified_id,
    "partner": posted_id,
    "landing": lambda handed: str(handed["message_id"]),
}


@dataclass(frozen=True)
class DeadLetter:
    """What is in a dead-letter queue, and why. place: the function that it failed in."""

    place: str
    message_id: str
    reason: str
    body: str
    attributes: Mapping[str, Any]
    group: str | None = None

    @classmethod
    def of(cls, place: str, message: Mapping[str, Any]) -> DeadLetter:
        """From a received message of the place's queue."""
        attributes = message.get("MessageAttributes", {})
        if place in QUEUES:
            reason = attributes.get(REASON, {}).get("StringValue", "moved by SQS").partition(":")[0]
            group = message.get("Attributes", {}).get("MessageGroupId")
            return cls(place, delivered_id(attributes), reason, message["Body"], attributes, group)
        failed = json.loads(message["Body"])
        id_ = _ID[place](failed["requestPayload"])
        return cls(place, id_, failed["responsePayload"]["errorType"], message["Body"], attributes)

    @property
    def event(self) -> Any:
        """What the function was invoked with."""
        return json.loads(self.body)["requestPayload"]

    def to_message(self) -> dict[str, Any]:
        """For its queue: as it was, without the reason; in its group, if it has one."""
        attributes = {name: value for name, value in self.attributes.items() if name != REASON}
        order = {"MessageGroupId": self.group, "MessageDeduplicationId": f"redrive-{self.message_id}"}
        return {"MessageBody": self.body, "MessageAttributes": attributes, **(order if self.group else {})}


class DeadLetters:
    """In the queues of a site. A landing that failed is a failed execution, and a notification that was not taken is in
    SNS's redrive queue: each has a queue here, too."""

    def __init__(self, site: Site, invocations: Invocations) -> None:
        self._site, self._invocations = site, invocations

    def attempt(self, function: str, event: Any, id_: str) -> list[Reply]:
        """Invoke a function as often as it is, until it answers; else there is a dead letter."""
        replies = self._invocations.until_ok(function, event, id_, attempts=ATTEMPTS[function])
        for reply in replies:
            if not reply.ok:
                letter = {"requestPayload": event, "responsePayload": {"errorType": reply.reason}}
                url = self._site.dead_letters[function]
                self._site.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(letter))
        return replies

    def take(self) -> list[DeadLetter]:
        """All there are; they are taken out of the queues."""
        return [letter for place in self._site.dead_letters for letter in self._taken(place)]

    def _taken(self, place: str) -> Iterator[DeadLetter]:
        url = self._site.dead_letters[place]
        while received := self._site.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in received:
                yield DeadLetter.of(place, message)
                self._site.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def redrive(self, letters: Iterable[DeadLetter], attempt: Callable[[str, Any, str], object]) -> None:
        """Send each back where it failed: `attempt` is for those of functions that have no queue."""
        with ThreadPoolExecutor(2 * self._invocations.processes) as pool:
            list(pool.map(lambda letter: self._redrive(letter, attempt), letters))

    def _redrive(self, letter: DeadLetter, attempt: Callable[[str, Any, str], object]) -> None:
        if letter.place not in QUEUES:
            attempt(letter.place, letter.event, letter.message_id)
            return
        self._site.sqs.send_message(QueueUrl=self._site.deliveries[letter.place], **letter.to_message())
