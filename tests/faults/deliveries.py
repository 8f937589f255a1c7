"""What brings messages to subscribers: SQS and SNS, at least once, doubled, in any order; and Step Functions behind."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.faults.dead_letters import DeadLetters
from tests.faults.environment import ACCOUNT, REGION, Site
from tests.faults.identity import delivered_id
from tests.faults.invocations import Invocations

_IDLE_SECONDS = 0.25


class Deliveries:
    """Carries the messages of one lot. batch: the most records that a queue's function is handed at a time."""

    def __init__(self, site: Site, invocations: Invocations, *, batch: int) -> None:
        self._site, self._invocations, self._batch = site, invocations, batch
        self._dead_letters = DeadLetters(site, invocations)
        self._subscribers = {
            "orders": self._hand_over,
            "billing": self._notify,
            "partner": self._post,
            "ledger": self._hand_over,
        }

    def deliver(self) -> None:
        """Until nothing is left to be delivered, and nothing to be landed."""
        pollers = [name for name in self._subscribers for _ in range(self._invocations.processes)]
        with ThreadPoolExecutor(len(pollers)) as pool:
            list(pool.map(self._poll, pollers))
            list(pool.map(self._land, self._site.executions["orders"].fresh()))

    def attempt(self, function: str, event: Any, id_: str) -> None:
        """Invoke the function of a subscriber that has no queue until it answers, or there is a dead letter."""
        for reply in self._dead_letters.attempt(function, event, id_):
            if reply.ok and function == "landing":
                self._site.landings.note(id_, reply.answer)

    def _land(self, handed: Mapping[str, Any]) -> None:
        self.attempt("landing", handed, handed["message_id"])

    def _poll(self, subscriber: str) -> None:
        for received in self._received(subscriber):
            self._subscribers[subscriber](subscriber, received)

    def _hand_over(self, subscriber: str, received: Sequence[Mapping[str, Any]]) -> None:
        """As Lambda's poller of a queue does: what failed is received again, all other is deleted."""
        records = [_record(subscriber, message) for message in received]
        ids = [delivered_id(message["MessageAttributes"]) for message in received]
        kept = {record["messageId"] for record in records}
        for reply in self._invocations.perhaps_twice(subscriber, {"Records": records}, ids):
            if reply.ok:
                kept &= set(reply.failures)
        for message in received:
            self._settle(subscriber, message, again=message["MessageId"] in kept)

    def _notify(self, subscriber: str, received: Sequence[Mapping[str, Any]]) -> None:
        """As SNS invokes a function."""
        for message in received:
            notification = json.loads(message["Body"])
            record = {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": notification}
            self.attempt(subscriber, {"Records": [record]}, delivered_id(notification["MessageAttributes"]))
            self._settle(subscriber, message, again=False)

    def _post(self, subscriber: str, received: Sequence[Mapping[str, Any]]) -> None:
        """As SNS posts to a server: the same, signed once, until it is taken."""
        for message in received:
            notification = json.loads(message["Body"])
            body = self._site.notary.posted(notification)
            self.attempt(subscriber, {"body": body}, delivered_id(notification["MessageAttributes"]))
            self._settle(subscriber, message, again=False)

    def _received(self, subscriber: str) -> Iterator[list[dict[str, Any]]]:
        """Messages that are to be handled now, until there are none, and none that another poller has."""
        url = self._site.deliveries[subscriber]
        while True:
            received = self._site.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=self._batch, AttributeNames=["All"], MessageAttributeNames=["All"]
            ).get("Messages", [])
            if not received:
                if not self._left(url):
                    return
                time.sleep(_IDLE_SECONDS)
            elif self._invocations.held_back(received[0]["MessageId"]):
                self._invocations.done["held back"] += len(received)
                for message in received:
                    self._settle(subscriber, message, again=True)
            else:
                yield received

    def _left(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._site.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def _settle(self, subscriber: str, message: Mapping[str, Any], *, again: bool) -> None:
        """Delete it; or let it be received again, without the time that it would be invisible for."""
        place = {"QueueUrl": self._site.deliveries[subscriber], "ReceiptHandle": message["ReceiptHandle"]}
        if again:
            self._site.sqs.change_message_visibility(**place, VisibilityTimeout=0)
        else:
            self._site.sqs.delete_message(**place)


def _record(subscriber: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A received message as Lambda's event spells it."""
    fifo = ".fifo" if "MessageGroupId" in message["Attributes"] else ""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"dataType": value["DataType"], **_value(value)}
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{subscriber}{fifo}",
        "awsRegion": REGION,
    }


def _value(value: Mapping[str, Any]) -> dict[str, str]:
    if "BinaryValue" in value:
        return {"binaryValue": base64.b64encode(value["BinaryValue"]).decode()}
    return {"stringValue": value["StringValue"]}
