"""Deliveries to subscribers by SQS, SNS and Step Functions: at least once, with duplicates, in any order."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from shared.handoff import HandOff
from tests.faults.dead_letters import DeadLetters
from tests.faults.environment import ACCOUNT, REGION, Environment
from tests.faults.invocations import Invocations
from tests.faults.message import id_of_attributes
from tests.lambdas.events import sqs_record

_POLL_SECONDS = 0.1


class Deliveries:
    """The deliveries of one run. batch: maximum number of records in an invocation for a queue."""

    def __init__(self, environment: Environment, invocations: Invocations, *, batch: int) -> None:
        self._environment, self._invocations, self._batch = environment, invocations, batch
        self._dead_letters = DeadLetters(environment, invocations)
        self._deliver = {
            "orders": self._invoke_batch,
            "billing": self._invoke,
            "partner": self._post,
            "ledger": self._invoke_batch,
        }

    def deliver(self) -> None:
        """Deliver all messages, and copy the payloads of the new executions."""
        pollers = [name for name in self._deliver for _ in range(self._invocations.processes)]
        with ThreadPoolExecutor(len(pollers)) as pool:
            list(pool.map(self._poll, pollers))
            list(pool.map(self._copy, self._environment.executions["orders"].new()))

    def attempt(self, function: str, event: Any, message_id: str) -> None:
        """Invoke the function of a subscriber without a queue until it returns, or there is a dead letter."""
        for reply in self._dead_letters.attempt(function, event, message_id):
            if reply.ok and function == "copy":
                self._environment.copies.add(message_id, reply.result)

    def _copy(self, handoff: HandOff) -> None:
        self.attempt("copy", handoff.to_input(), handoff.message_id)

    def _poll(self, subscriber: str) -> None:
        for received in self._receive(subscriber):
            self._deliver[subscriber](subscriber, received)

    def _invoke_batch(self, subscriber: str, received: Sequence[Mapping[str, Any]]) -> None:
        """Invoke a function as Lambda does for a queue: failed messages return to the queue, the others are deleted."""
        fifo = ".fifo" if "MessageGroupId" in received[0]["Attributes"] else ""
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{subscriber}{fifo}"
        records = [sqs_record(message, attributes=message["Attributes"], queue_arn=arn) for message in received]
        ids = [id_of_attributes(message["MessageAttributes"]) for message in received]
        failed = {record["messageId"] for record in records}
        for reply in self._invocations.once_or_twice(subscriber, {"Records": records}, ids):
            if reply.ok:
                failed &= set(reply.failures)
        for message in received:
            self._finish(subscriber, message, again=message["MessageId"] in failed)

    def _invoke(self, subscriber: str, received: Sequence[Mapping[str, Any]]) -> None:
        """Invoke a function as SNS does."""
        for message in received:
            notification = json.loads(message["Body"])
            record = {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": notification}
            self.attempt(subscriber, {"Records": [record]}, id_of_attributes(notification["MessageAttributes"]))
            self._finish(subscriber, message, again=False)

    def _post(self, subscriber: str, received: Sequence[Mapping[str, Any]]) -> None:
        """Post to a web server as SNS does: all attempts have the same signature."""
        for message in received:
            notification = json.loads(message["Body"])
            body = json.dumps(self._environment.signer.sign(notification, version="2"))
            self.attempt(subscriber, {"body": body}, id_of_attributes(notification["MessageAttributes"]))
            self._finish(subscriber, message, again=False)

    def _receive(self, subscriber: str) -> Iterator[list[dict[str, Any]]]:
        """Yield batches until the queue is empty and no other poller processes its messages."""
        sqs, url = self._environment.sqs, self._environment.deliveries[subscriber]
        while True:
            received = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=self._batch, AttributeNames=["All"], MessageAttributeNames=["All"]
            ).get("Messages", [])
            if not received:
                if not self._messages_left(url):
                    return
                time.sleep(_POLL_SECONDS)
            elif self._invocations.is_delayed(received[0]["MessageId"]):
                self._invocations.disturbances["delayed"] += len(received)
                for message in received:
                    self._finish(subscriber, message, again=True)
            else:
                yield received

    def _messages_left(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._environment.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def _finish(self, subscriber: str, message: Mapping[str, Any], *, again: bool) -> None:
        """Delete a message; or make it visible again at once."""
        sqs = self._environment.sqs
        handle = {"QueueUrl": self._environment.deliveries[subscriber], "ReceiptHandle": message["ReceiptHandle"]}
        if again:
            sqs.change_message_visibility(**handle, VisibilityTimeout=0)
        else:
            sqs.delete_message(**handle)
