"""What can be in a queue for failures, by its shape: why it is there, and what has to be sent to have it handled again.

The shapes are those of SQS, SNS, EventBridge and Lambda; a shape that is not known is left where it is.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

REASON = "DeadLetterReason"
"""The attribute in which a queue's consume function says why it gave a message up."""
# What EventBridge adds to a message that it could not deliver to a rule's target.
_ERROR_CODE, _ERROR_MESSAGE = "ERROR_CODE", "ERROR_MESSAGE"
_LONGEST_KIND = 100


@dataclass(frozen=True)
class Letter:
    """A received message. `event`: what the function is to be invoked with, None where there is nothing to invoke.
    `instead`: what is done with a letter that is not to be sent back."""

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, Any]
    sent: datetime
    group: str | None
    why: str
    event: object = None
    instead: str | None = None

    @property
    def kind(self) -> str:
        """Why, in a word: the error's class, of `PayloadMissing: there is no such object`. A sender may have
        written it: nothing in it moves a cursor."""
        word = self.why.partition(":")[0][:_LONGEST_KIND]
        return "".join(char if char.isprintable() else " " for char in word)


class Reading(NamedTuple):
    """What a shape makes of a message: as in `Letter`."""

    why: str
    event: object = None
    instead: str | None = None


Shape = Callable[[Mapping[str, Any]], Reading | None]
"""None: the message has another shape."""
LEFT = "is left where it is"
BEHIND = "is left behind one of its message group"
_UNKNOWN = Reading("of no known shape", instead=LEFT)


def read(message: Mapping[str, Any], shapes: tuple[Shape, ...]) -> Letter:
    """The letter by the first shape that it has."""
    found = next((each for each in (shape(message) for shape in shapes) if each), _UNKNOWN)
    system = message["Attributes"]
    return Letter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        attributes=message.get("MessageAttributes", {}),
        sent=datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, tz=UTC),
        group=system.get("MessageGroupId"),
        **found._asdict(),
    )


def queued(message: Mapping[str, Any]) -> Reading:
    """A message of the subscriber's queue, dead-lettered by its function with a reason, or moved by SQS without one."""
    return Reading(_attribute(message, REASON) or "given up by SQS: the function never finished with it")


def undelivered(_: Mapping[str, Any]) -> Reading:
    """What SNS could not deliver to a queue: whatever it is, it is what the queue would have got."""
    return Reading("not delivered by SNS")


def notification(message: Mapping[str, Any]) -> Reading | None:
    """What SNS could not deliver to a function: a notification, which the function gets in an event of one record."""
    body = _json(message)
    if body.get("Type") != "Notification" or not isinstance(body.get("Message"), str) or "TopicArn" not in body:
        return None
    record = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": "", "Sns": body}
    return Reading("not delivered by SNS", {"Records": [record]})


def failed_invocation(message: Mapping[str, Any]) -> Reading | None:
    """A record of Lambda's: an asynchronous event that a function failed with, every time it was tried."""
    body = _json(message)
    event, context, error = (body.get(key) for key in ("requestPayload", "requestContext", "responsePayload"))
    if not isinstance(event, dict) or not isinstance(context, dict):
        return None
    if isinstance(error, dict) and "errorType" in error:
        return Reading(f"{error['errorType']}: {error.get('errorMessage', '')}", event)
    return Reading(str(context.get("condition", "not known")), event)


def failed_task(message: Mapping[str, Any]) -> Reading | None:
    """A task that the function ran and that failed. The function knows its message as handed on, and would run nothing
    if it got it again."""
    body = _json(message)
    if not isinstance(body.get("failed_task"), str):
        return None
    why = f"{body.get('stop_code') or 'failed task'}: {body.get('stopped_reason')}"
    return Reading(why, instead='is run again by hand: "When a task fails" in the runbook')


def untaken_event(message: Mapping[str, Any]) -> Reading | None:
    """An event that EventBridge could not hand to a rule's target."""
    body, code = _json(message), _attribute(message, _ERROR_CODE)
    if not code or not {"id", "source", "detail-type", "detail"} <= set(body):
        return None
    return Reading(f"{code}: {_attribute(message, _ERROR_MESSAGE) or ''}", body)


def _attribute(message: Mapping[str, Any], name: str) -> str | None:
    value: str | None = message.get("MessageAttributes", {}).get(name, {}).get("StringValue")
    return value


def _json(message: Mapping[str, Any]) -> dict[str, Any]:
    """The body, where it is a JSON object."""
    try:
        found = json.loads(message["Body"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
