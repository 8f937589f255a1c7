"""Dead letters of the functions, and their redrive."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from shared.handoff import HandOff
from tests.faults.environment import QUEUES, Environment
from tests.faults.functions import Reply
from tests.faults.invocations import Invocations
from tests.faults.message import id_of_attributes, id_of_event, id_of_post, id_of_sns_event

REASON = "DeadLetterReason"
ATTEMPTS = {"publish": 3, "billing": 3, "partner": 4, "copy": 6}
"""Maximum number of invocations: of Lambda for EventBridge and SNS, of SNS for a web server (29 with the deployed
policy), and of the state machine."""

_MESSAGE_ID: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "publish": id_of_event,
    "billing": id_of_sns_event,
    "partner": id_of_post,
    "copy": lambda event: HandOff.from_input(event).message_id,
}


@dataclass(frozen=True)
class DeadLetter:
    """A message in a dead-letter queue."""

    function: str
    """The function that failed."""
    message_id: str
    reason: str
    body: str
    attributes: Mapping[str, Any]
    group: str | None = None

    @classmethod
    def parse(cls, function: str, message: Mapping[str, Any]) -> DeadLetter:
        """Parse a received message of the function's dead-letter queue."""
        attributes = message.get("MessageAttributes", {})
        if function in QUEUES:
            reason = attributes.get(REASON, {}).get("StringValue", "moved by SQS").partition(":")[0]
            group = message.get("Attributes", {}).get("MessageGroupId")
            return cls(function, id_of_attributes(attributes), reason, message["Body"], attributes, group)
        record = json.loads(message["Body"])
        message_id = _MESSAGE_ID[function](record["requestPayload"])
        return cls(function, message_id, record["responsePayload"]["errorType"], message["Body"], attributes)

    @property
    def event(self) -> Any:
        """The event of the failed invocation."""
        return json.loads(self.body)["requestPayload"]

    def to_message(self) -> dict[str, Any]:
        """Return the original message for the subscriber's queue: without the reason, in its message group."""
        attributes = {name: value for name, value in self.attributes.items() if name != REASON}
        order = {"MessageGroupId": self.group, "MessageDeduplicationId": f"redrive-{self.message_id}"}
        return {"MessageBody": self.body, "MessageAttributes": attributes, **(order if self.group else {})}


class DeadLetters:
    """The dead-letter queues of an environment.

    In a deployment, a failed copy is a failed execution, and a failed notification is an undelivered message. Here both
    have a dead-letter queue, too.
    """

    def __init__(self, environment: Environment, invocations: Invocations) -> None:
        self._environment, self._invocations = environment, invocations

    def attempt(self, function: str, event: Any, message_id: str) -> list[Reply]:
        """Invoke a function until it returns. After the last attempt, send the event to the dead-letter queue."""
        replies = self._invocations.until_ok(function, event, message_id, attempts=ATTEMPTS[function])
        for reply in replies:
            if not reply.ok:
                record = {"requestPayload": event, "responsePayload": {"errorType": reply.reason}}
                url = self._environment.dead_letters[function]
                self._environment.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(record))
        return replies

    def receive(self) -> list[DeadLetter]:
        """Receive and delete all dead letters."""
        return [each for function in self._environment.dead_letters for each in self._receive(function)]

    def _receive(self, function: str) -> Iterator[DeadLetter]:
        sqs, url = self._environment.sqs, self._environment.dead_letters[function]
        while received := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in received:
                yield DeadLetter.parse(function, message)
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def redrive(self, dead_letters: Iterable[DeadLetter], attempt: Callable[[str, Any, str], object]) -> None:
        """Send dead letters back. `attempt` invokes a function without a queue."""
        with ThreadPoolExecutor(2 * self._invocations.processes) as pool:
            list(pool.map(lambda dead_letter: self._redrive(dead_letter, attempt), dead_letters))

    def _redrive(self, dead_letter: DeadLetter, attempt: Callable[[str, Any, str], object]) -> None:
        if dead_letter.function not in QUEUES:
            attempt(dead_letter.function, dead_letter.event, dead_letter.message_id)
            return
        url = self._environment.deliveries[dead_letter.function]
        self._environment.sqs.send_message(QueueUrl=url, **dead_letter.to_message())
