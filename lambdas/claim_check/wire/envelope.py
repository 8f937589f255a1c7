"""The spellings a message is received in, brought into one form.

| record                    | body          | attributes                                              |
|---------------------------|---------------|---------------------------------------------------------|
| SQS API `receive_message` | `Body`        | `MessageAttributes.N.{DataType,StringValue,BinaryValue}` |
| SQS event of a function   | `body`        | `messageAttributes.N.{dataType,stringValue,binaryValue}` |
| SNS event of a function   | `Sns.Message` | `Sns.MessageAttributes.N.{Type,Value}`                   |
| SNS envelope              | `Message`     | `MessageAttributes.N.{Type,Value}`                       |

An SQS message whose subscription is not raw has the SNS envelope, as JSON, for its body.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple

from claim_check.errors import MalformedMessage
from claim_check.wire import claim
from claim_check.wire.attribute import Attribute
from claim_check.wire.pointer import MARKERS
from claim_check.wire.text import is_utf8
from claim_check.wire.untrusted import parsed

_type_names = ("DataType", "dataType", "Type")
_text_names = ("StringValue", "stringValue", "Value")
_binary_names = ("BinaryValue", "binaryValue")
_raw_names = frozenset({*MARKERS, claim.NAME})


class Envelope(NamedTuple):
    """What was delivered: `id` is SNS's MessageId, or SQS's where the delivery was raw."""

    body: str
    attributes: Mapping[str, Attribute]
    id: str | None
    subject: str | None = None
    topic_arn: str | None = None


def open_envelope(record: object) -> Envelope:
    """The one form of any record above. Raises MalformedMessage, and nothing else."""
    members = _mapping(record, "the record")
    if "Sns" in members:
        return _notification(_mapping(members["Sns"], "the record's Sns"))
    if "body" in members:
        return _queued(members, "body", "messageAttributes", "messageId")
    if "Body" in members:
        return _queued(members, "Body", "MessageAttributes", "MessageId")
    return _notification(members)


def _queued(members: Mapping[str, object], body_name: str, attributes_name: str, id_name: str) -> Envelope:
    body = _text(members, body_name)
    attributes = _attributes(members.get(attributes_name))
    # Only a raw delivery hands attributes on to the queue. One with ours is raw, so that a payload which itself looks
    # like an SNS envelope is not opened; any other attribute may have been added on the way, by a dead-letter queue
    # for one.
    inner = None if _raw_names.intersection(attributes) else _sns_envelope(body)
    return _notification(inner) if inner else Envelope(body, attributes, _optional_text(members, id_name))


def _sns_envelope(body: str) -> Mapping[str, object] | None:
    if not (body.lstrip()[:1] == "{" and '"Notification"' in body):  # spares parsing a megabyte for nothing
        return None
    try:
        members = parsed(body, "the body")
    except MalformedMessage:
        return None  # an inline payload like any other
    texts = ("TopicArn", "MessageId", "Message")
    if not isinstance(members, dict) or members.get("Type") != "Notification":
        return None
    return members if all(isinstance(members.get(name), str) for name in texts) else None


def _notification(members: Mapping[str, object]) -> Envelope:
    return Envelope(
        _text(members, "Message"),
        _attributes(members.get("MessageAttributes")),
        _optional_text(members, "MessageId"),
        _optional_text(members, "Subject"),
        _optional_text(members, "TopicArn"),
    )


def _attributes(value: object) -> dict[str, Attribute]:
    members = {} if value is None else _mapping(value, "the message attributes")
    return {name: _attribute(name, _mapping(member, "a message attribute")) for name, member in members.items()}


def _attribute(name: str, member: Mapping[str, object]) -> Attribute:
    data_type = _first(member, _type_names)
    value = _first(member, (*_text_names, *_binary_names))
    if not isinstance(data_type, str) or not isinstance(value, str | bytes):
        raise MalformedMessage(f"the message attribute {name[:256]!r} has no data type or no value")
    if data_type.startswith("Binary") and isinstance(value, str):
        return Attribute(data_type, _decoded(name, value))
    return Attribute(data_type, value)


def _decoded(name: str, value: str) -> bytes:
    # Everywhere but in the SQS API binary attributes are spelt in base64.
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage(f"the binary message attribute {name[:256]!r} is not base64") from None


def _first(member: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((member[name] for name in names if member.get(name) is not None), None)


def _mapping(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise MalformedMessage(f"{what} is not a mapping of names to values")
    return value


def _text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not is_utf8(value):
        raise MalformedMessage(
            f"the record has no text in {name!r}: it is neither an SQS message nor an SNS notification"
        )
    return value


def _optional_text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    if value is not None and not (isinstance(value, str) and is_utf8(value)):
        raise MalformedMessage(f"the record's {name!r} is not text")
    return value
