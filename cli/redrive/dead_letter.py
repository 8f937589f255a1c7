"""Dead letters, parsed from the forms of SQS, SNS, EventBridge and Lambda. A message of another form is not sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from claim_check import ClaimCheckError, error_classes
from consume_queue.dead_letter import REASON
from shared.handoff import EncodingNotSupported, InputTooLarge, InvalidResult
from shared.message_text import printable

_ERRORS: list[type[ClaimCheckError]] = [*error_classes(), InputTooLarge, EncodingNotSupported, InvalidResult]
PERMANENT = {error.__name__: error.advice for error in _ERRORS if error.permanent and not error.repairable} | {
    "ABORTED": "The execution was stopped by a user."
}
"""Reasons with which a message fails again after every repair, and the advice of each."""
REPAIRABLE = {error.__name__: error.advice for error in _ERRORS if error.repairable}
"""Reasons that end after a repair of permissions, credentials or names, and the advice of each."""
FAILED_TASK = 'not sent: run the task again by hand (runbook, "Failed tasks")'
# Attributes that EventBridge adds to an event that it could not deliver to a rule's target.
_ERROR_CODE, _ERROR_MESSAGE = "ERROR_CODE", "ERROR_MESSAGE"
_KIND_CHARACTERS = 100


@dataclass(frozen=True)
class DeadLetter:
    """A message of a dead-letter queue or an undelivered queue, or an unsuccessful execution."""

    id: str
    receipt: str
    """The receipt handle, or the execution's ARN."""
    body: str
    attributes: Mapping[str, Any]
    sent: datetime
    group: str | None
    reason: str
    event: object = None
    """The event to invoke a function with."""
    kept_because: str | None = None
    """Why the message is not sent, or None."""

    @property
    def kind(self) -> str:
        """The reason's first part, which is the error's class in `PayloadMissing: the object does not exist`."""
        return printable(self.reason.partition(":")[0], _KIND_CHARACTERS)


class Parsed(NamedTuple):
    """The fields of a DeadLetter that depend on its form."""

    reason: str
    event: object = None
    kept_because: str | None = None


Parser = Callable[[Mapping[str, Any]], Parsed | None]
"""Parses one form. Returns None for a message of another form."""
_UNKNOWN = Parsed("unknown form", kept_because="not sent: its form is unknown")


def parse(message: Mapping[str, Any], parsers: tuple[Parser, ...]) -> DeadLetter:
    """Parse a received message with the first parser that accepts it."""
    parsed = next((result for result in (parser(message) for parser in parsers) if result), _UNKNOWN)
    system = message["Attributes"]
    return DeadLetter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        attributes=message.get("MessageAttributes", {}),
        sent=datetime.fromtimestamp(int(system["SentTimestamp"]) / 1000, tz=UTC),
        group=system.get("MessageGroupId"),
        **parsed._asdict(),
    )


def age(sent: datetime) -> str:
    """Return the time since then in words."""
    passed = datetime.now(tz=UTC) - sent
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours"), (timedelta(minutes=1), "minutes")):
        if passed >= 2 * unit:
            return f"{passed // unit} {name} ago"
    return "just now"


def parse_queued(message: Mapping[str, Any]) -> Parsed:
    """Parse a message of a subscriber's queue: dead-lettered by the consume function, or moved by SQS."""
    return Parsed(_attribute(message, REASON) or "moved by SQS: the function did not finish it")


def parse_undelivered(_: Mapping[str, Any]) -> Parsed:
    """Parse an undelivered message of a queue subscription. Its body is the original message."""
    return Parsed("not delivered by SNS")


def parse_notification(message: Mapping[str, Any]) -> Parsed | None:
    """Parse an undelivered message of a function subscription: a notification, sent in an event with one record."""
    body = _json(message)
    if body.get("Type") != "Notification" or not isinstance(body.get("Message"), str) or "TopicArn" not in body:
        return None
    record = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": "", "Sns": body}
    return Parsed("not delivered by SNS", {"Records": [record]})


def parse_failed_invocation(message: Mapping[str, Any]) -> Parsed | None:
    """Parse Lambda's record of an asynchronous event, written after the last attempt failed."""
    body = _json(message)
    event, context, error = (body.get(key) for key in ("requestPayload", "requestContext", "responsePayload"))
    if not isinstance(event, dict) or not isinstance(context, dict):
        return None
    if isinstance(error, dict) and "errorType" in error:
        return Parsed(f"{error['errorType']}: {error.get('errorMessage', '')}", event)
    return Parsed(str(context.get("condition", "unknown")), event)


def parse_failed_task(message: Mapping[str, Any]) -> Parsed | None:
    """Parse a failed task. The consume function has processed its message and would start no second task.

    EventBridge sends no attributes. A message of the topic has the attribute `ClaimCheck`.
    """
    body = _json(message)
    if not isinstance(body.get("taskArn"), str) or message.get("MessageAttributes"):
        return None
    reason = f"{body.get('stopCode') or 'failed task'}: {body.get('stoppedReason')}"
    return Parsed(reason, kept_because=FAILED_TASK)


def parse_rejected_event(message: Mapping[str, Any]) -> Parsed | None:
    """Parse an event that EventBridge could not deliver to a rule's target."""
    body, code = _json(message), _attribute(message, _ERROR_CODE)
    if not code or not {"id", "source", "detail-type", "detail"} <= set(body):
        return None
    return Parsed(f"{code}: {_attribute(message, _ERROR_MESSAGE) or ''}", body)


def _attribute(message: Mapping[str, Any], name: str) -> str | None:
    value: str | None = message.get("MessageAttributes", {}).get(name, {}).get("StringValue")
    return value


def _json(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body if it is a JSON object, otherwise an empty dictionary. A sender can nest it too deeply."""
    try:
        content = json.loads(message["Body"])
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
