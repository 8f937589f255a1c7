"""What brings messages to the functions: senders, EventBridge, SQS, and SNS; at least once, doubled, in any order."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from faults.functions import Functions, Kill, Reply
from faults.lot import Chance, Lot
from faults.message import Message
from faults.site import ACCOUNT, REGION, SUBSCRIBERS, Site
from publish.upload import upload_id

_T = TypeVar("_T")
_IDLE_SECONDS = 0.25
_TRIES = 3
REASON = "DeadLetterReason"
_OUTBOX = "outbox/"


@dataclass(frozen=True)
class DeadLetter:
    """What is in a dead-letter queue, and why. place: "publish", or the subscriber."""

    place: str
    message_id: str
    reason: str
    body: str
    attributes: Mapping[str, Any]


class Deliveries:
    """Carries the messages of one lot. What is sent becomes known by its id in `sent`."""

    def __init__(self, site: Site, functions: Functions, lot: Lot, *, seed: int) -> None:
        self._site, self._functions, self._lot = site, functions, lot
        self._chance = Chance(seed)
        self._kills = dict(lot.kills)
        self._lock = threading.Lock()
        self._visits: Counter[str] = Counter()
        self.sent: dict[str, Message] = {}
        self.refused: list[Message] = []
        """What its sender was told has failed, several times over; and is to send again."""
        self.done: Counter[str] = Counter()
        """How many invocations were killed, doubled and held back."""
        self.calls: dict[tuple[str, str], int] = {}
        """The requests that a function made for a message, at its first invocation."""

    # --- sending ------------------------------------------------------------------------------------------------------

    def send(self, messages: Iterable[Message]) -> None:
        """Have all of them published, or refused."""
        with ThreadPoolExecutor(2 * self._functions.processes) as pool:
            list(pool.map(self._send, _units(messages)))

    def _send(self, unit: Sequence[Message]) -> None:
        route = unit[0].route
        if route == "event":
            (message,) = unit
            self.sent[message.id] = message
            self._publish(_event(message), message.id)
        elif route == "outbox":
            (message,) = unit
            event = self._upload(message)
            self.sent[published_id(event)] = message
            self._publish(event, message.id)
        else:
            self._call_library(unit)

    def _call_library(self, unit: Sequence[Message]) -> None:
        self.sent.update({message.id: message for message in unit})
        left = unit
        for _ in range(_TRIES):
            event = {"messages": [message.to_dict() for message in left]}
            reply = self._invoke("application", event, [message.id for message in left])
            if not reply.killed and not reply.error:
                left = [message for message in left if message.id in reply.answer]
            if not left:
                return
        with self._lock:
            self.refused += left

    def _upload(self, message: Message) -> dict[str, Any]:
        payload, key = message.payload, f"{_OUTBOX}{message.id}"
        version = self._site.s3.put_object(Bucket=self._site.payloads, Key=key, Body=payload)["VersionId"]
        uploaded = {"key": key, "size": len(payload), "version-id": version}
        detail = {"bucket": {"name": self._site.payloads}, "object": uploaded, "requester": ACCOUNT}
        return _event(message) | {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}

    def _publish(self, event: dict[str, Any], id_: str) -> None:
        """EventBridge's way to the publish function: asynchronously, and now and then twice."""
        for dead in self._asynchronously("publish", event, id_):
            self._site.sqs.send_message(QueueUrl=self._site.dead_letters["publish"], MessageBody=json.dumps(dead))

    # --- delivering ---------------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Until nothing is left to be delivered."""
        pollers = [self._poll_orders, self._poll_billing] * self._functions.processes
        with ThreadPoolExecutor(len(pollers)) as pool:
            for running in [pool.submit(poller) for poller in pollers]:
                running.result()

    def _poll_orders(self) -> None:
        for received in self._received("orders", self._lot.batch):
            records = [_record(message) for message in received]
            ids = [message_id(message["MessageAttributes"]) for message in received]
            kept = {record["messageId"] for record in records}
            for reply in self._perhaps_twice("orders", {"Records": records}, ids):
                if not reply.killed and not reply.error:
                    kept &= set(reply.failures)
            for message in received:
                self._settle("orders", message, again=message["MessageId"] in kept)

    def _poll_billing(self) -> None:
        for received in self._received("billing", 10):
            for message in received:
                notification = json.loads(message["Body"])
                record = {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": notification}
                id_ = message_id(notification["MessageAttributes"])
                for dead in self._asynchronously("billing", {"Records": [record]}, id_):
                    self._site.sqs.send_message(
                        QueueUrl=self._site.dead_letters["billing"], MessageBody=json.dumps(dead)
                    )
                self._settle("billing", message, again=False)

    def _received(self, subscriber: str, most: int) -> Iterator[list[dict[str, Any]]]:
        """Messages that are to be handled now, until there are none, and none that another poller has."""
        url = self._site.deliveries[subscriber]
        while True:
            answer = self._site.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=most, AttributeNames=["All"], MessageAttributeNames=["All"]
            )
            now = []
            for message in answer.get("Messages", []):
                if self._strikes(self._lot.held_back, "held back", message["MessageId"]):
                    self.done["held back"] += 1
                    self._settle(subscriber, message, again=True)
                else:
                    now.append(message)
            if now:
                yield now
            elif not answer.get("Messages"):
                if not self._left(url):
                    return
                time.sleep(_IDLE_SECONDS)

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

    # --- invoking -----------------------------------------------------------------------------------------------------

    def _invoke(self, function: str, event: Any, ids: Sequence[str]) -> Reply:
        reply = self._functions[function].invoke(event, self._kill(function, ids))
        self._tell(function, ids, reply)
        return reply

    def _perhaps_twice(self, function: str, event: Any, ids: Sequence[str]) -> list[Reply]:
        if not self._strikes(self._lot.doubled, "doubled", function, *ids):
            return [self._invoke(function, event, ids)]
        self.done["doubled"] += 1
        return _at_once(lambda: self._invoke(function, event, ids))

    def _asynchronously(self, function: str, event: Any, id_: str) -> list[dict[str, Any]]:
        """What goes to the on-failure destination."""

        def invoke() -> dict[str, Any] | None:
            kill = self._kill(function, [id_])
            return self._functions[function].invoke_asynchronously(
                event, kill, tell=lambda reply: self._tell(function, [id_], reply)
            )

        if self._strikes(self._lot.doubled, "doubled", function, id_):
            self.done["doubled"] += 1
            outcomes = _at_once(invoke)
        else:
            outcomes = [invoke()]
        return [outcome for outcome in outcomes if outcome]

    def _kill(self, function: str, ids: Sequence[str]) -> Kill | None:
        with self._lock:
            planned = [self._kills.pop((function, self._name(id_)), None) for id_ in ids]
        told = next((kill for kill in planned if kill), None)
        if told is None and self._strikes(self._lot.killed, "killed", function, *ids):
            return self._chance.kill(function, *ids)
        return told

    def _tell(self, function: str, ids: Sequence[str], reply: Reply) -> None:
        with self._lock:
            self.done["killed"] += reply.killed
            self.calls.setdefault((function, self._name(ids[0])), reply.calls)

    def _name(self, id_: str) -> str:
        """The campaign's own id of a message: an upload becomes known by another."""
        return self.sent[id_].id if id_ in self.sent else id_

    def _strikes(self, probability: float, *what: object) -> bool:
        """A new throw each time the same is asked."""
        if not probability:
            return False
        with self._lock:
            self._visits[str(what)] += 1
            return self._chance.strikes(probability, *what, self._visits[str(what)])

    # --- dead letters -------------------------------------------------------------------------------------------------

    def take_dead_letters(self) -> list[DeadLetter]:
        """All that is in the dead-letter queues; it is taken out of them."""
        return [letter for place in ("publish", *SUBSCRIBERS) for letter in self._taken(place)]

    def _taken(self, place: str) -> Iterator[DeadLetter]:
        url = self._site.dead_letters[place]
        while received := self._site.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in received:
                yield dead_letter(place, message)
                self._site.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def redrive(self, letters: Iterable[DeadLetter]) -> None:
        """Send each back where it failed."""
        with ThreadPoolExecutor(2 * self._functions.processes) as pool:
            list(pool.map(self._redrive, letters))

    def _redrive(self, letter: DeadLetter) -> None:
        if letter.place == "orders":
            attributes = {name: value for name, value in letter.attributes.items() if name != REASON}
            self._site.sqs.send_message(
                QueueUrl=self._site.deliveries["orders"], MessageBody=letter.body, MessageAttributes=attributes
            )
            return
        event = json.loads(letter.body)["requestPayload"]
        for dead in self._asynchronously(letter.place, event, letter.message_id):
            self._site.sqs.send_message(QueueUrl=self._site.dead_letters[letter.place], MessageBody=json.dumps(dead))


def _units(messages: Iterable[Message]) -> Iterator[list[Message]]:
    """What is sent together: the messages of a batch, up to ten of one lot; all others alone."""
    batch: list[Message] = []
    for message in messages:
        if message.route != "batch":
            yield [message]
            continue
        if batch and (len(batch) == 10 or batch[0].lot != message.lot):
            yield batch
            batch = []
        batch.append(message)
    if batch:
        yield batch


def _event(message: Message) -> dict[str, Any]:
    return {
        "id": message.id,
        "source": "campaign",
        "detail-type": "Sent",
        "account": ACCOUNT,
        "region": REGION,
        "detail": message.detail if message.route == "event" else {},
    }


def published_id(event: Mapping[str, Any]) -> str:
    """The id of the message that an event of the publish function becomes."""
    if event["source"] != "aws.s3":
        return str(event["id"])
    uploaded = event["detail"]["object"]
    return upload_id(uploaded["key"], uploaded["version-id"])


def message_id(attributes: Mapping[str, Any]) -> str:
    """Of a delivered message, in whichever spelling its attributes come."""
    claim = attributes["ClaimCheck"]
    found: str = json.loads(claim.get("StringValue") or claim["Value"])["id"]
    return found


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    """A received message as Lambda's event spells it."""
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
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders",
        "awsRegion": REGION,
    }


def _value(value: Mapping[str, Any]) -> dict[str, str]:
    if "BinaryValue" in value:
        return {"binaryValue": base64.b64encode(value["BinaryValue"]).decode()}
    return {"stringValue": value["StringValue"]}


def dead_letter(place: str, message: Mapping[str, Any]) -> DeadLetter:
    """A received message of a dead-letter queue."""
    attributes = message.get("MessageAttributes", {})
    if place == "orders":
        reason = attributes.get(REASON, {}).get("StringValue", "moved by SQS").partition(":")[0]
        return DeadLetter(place, message_id(attributes), reason, message["Body"], attributes)
    failed = json.loads(message["Body"])
    event, reason = failed["requestPayload"], failed["responsePayload"]["errorType"]
    found = published_id(event) if place == "publish" else message_id(event["Records"][0]["Sns"]["MessageAttributes"])
    return DeadLetter(place, found, reason, message["Body"], attributes)


def _at_once(call: Callable[[], _T]) -> list[_T]:
    with ThreadPoolExecutor(2) as pool:
        return [running.result() for running in [pool.submit(call), pool.submit(call)]]
