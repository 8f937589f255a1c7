"""The envelope: one representation of all forms of a received record.

| record                    | body          | attributes                                               |
|---------------------------|---------------|----------------------------------------------------------|
| SQS API `receive_message` | `Body`        | `MessageAttributes.N.{DataType,StringValue,BinaryValue}` |
| SQS event of a function   | `body`        | `messageAttributes.N.{dataType,stringValue,binaryValue}` |
| SNS event of a function   | `Sns.Message` | `Sns.MessageAttributes.N.{Type,Value}`                   |
| SNS envelope              | `Message`     | `MessageAttributes.N.{Type,Value}`                       |

The body of an SQS message from a subscription without raw delivery is the SNS envelope, as JSON.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from claim_check.errors import MalformedMessage
from claim_check.wire import claim
from claim_check.wire.attribute import Attribute
from claim_check.wire.claim import Claim, is_message_id
from claim_check.wire.pointer import COMPRESSED_MARKER, MARKERS, Pointer, marked_size
from claim_check.wire.text import is_utf8, parse_json

_TYPE_NAMES = ("DataType", "dataType", "Type")
_TEXT_NAMES = ("StringValue", "stringValue", "Value")
_BINARY_NAMES = ("BinaryValue", "binaryValue")
_LIBRARY_ATTRIBUTES = frozenset({*MARKERS, claim.NAME})
_SHOWN_CHARACTERS = 256


class Envelope(NamedTuple):
    """A received message.

    `size` is the payload's in bytes. `body` is the payload itself if `pointer` is None. `attributes` are the sender's,
    without the marker and the claim. `subject` and `topic_arn` are None under raw delivery.
    """

    claim: Claim
    pointer: Pointer | None
    size: int
    body: bytes
    attributes: Mapping[str, Attribute]
    subject: str | None
    topic_arn: str | None

    @classmethod
    def open(cls, record: object) -> Envelope:
        """Return the envelope of a record in any of the forms. Raises MalformedMessage, and no other error."""
        delivery = _delivery(record)
        message_id = delivery.id
        try:
            declared = _claim(delivery)
            message_id = declared.id
            size = marked_size(delivery.attributes)
            _require_both_or_none(declared, delivery)
            pointer = None if size is None else Pointer.parse(delivery.body)
        except MalformedMessage as error:
            raise MalformedMessage(str(error), message_id=message_id) from None
        body = delivery.body.encode("utf-8")
        return cls(
            declared,
            pointer,
            len(body) if size is None else size,
            body,
            _senders(delivery.attributes),
            delivery.subject,
            delivery.topic_arn,
        )


class _Delivery(NamedTuple):
    """The fields of a record, before claim and pointer are parsed. `id` is SNS's, or SQS's under raw delivery."""

    body: str
    attributes: Mapping[str, Attribute]
    id: str | None
    subject: str | None = None
    topic_arn: str | None = None


def _delivery(record: object) -> _Delivery:
    members = _mapping(record, "the record")
    if "Sns" in members:
        return _notification(_mapping(members["Sns"], "the record's Sns"))
    if "body" in members:
        return _queued(members, "body", "messageAttributes", "messageId")
    if "Body" in members:
        return _queued(members, "Body", "MessageAttributes", "MessageId")
    return _notification(members)


def _claim(delivery: _Delivery) -> Claim:
    """Return the message's claim. A message of another library has the id of its delivery, and no digest."""
    attribute = delivery.attributes.get(claim.NAME)
    if attribute:
        return Claim.parse(attribute.value)
    if delivery.id is None or not is_message_id(delivery.id):
        raise MalformedMessage("the record has no usable message id, neither the sender's nor SNS's or SQS's")
    return Claim(delivery.id)


def _require_both_or_none(declared: Claim, delivery: _Delivery) -> None:
    if (declared.encoding is None) is (COMPRESSED_MARKER in delivery.attributes):
        raise MalformedMessage("the message has only one of the marker and the claim of a compressed payload")


def _senders(attributes: Mapping[str, Attribute]) -> Mapping[str, Attribute]:
    return MappingProxyType({name: value for name, value in attributes.items() if name not in _LIBRARY_ATTRIBUTES})


def _queued(members: Mapping[str, object], body_name: str, attributes_name: str, id_name: str) -> _Delivery:
    body = _text(members, body_name)
    attributes = _attributes(members.get(attributes_name))
    # Only raw delivery copies SNS attributes to SQS attributes. A message with an attribute of this library is raw, so
    # its payload is not opened even if it looks like an SNS envelope. Other attributes prove nothing: a dead-letter
    # queue can add some.
    inner = None if _LIBRARY_ATTRIBUTES.intersection(attributes) else _sns_envelope(body)
    return _notification(inner) if inner else _Delivery(body, attributes, _optional_text(members, id_name))


def _sns_envelope(body: str) -> Mapping[str, object] | None:
    if not (body.lstrip()[:1] == "{" and '"Notification"' in body):  # avoids parsing a megabyte of another kind
        return None
    try:
        members = parse_json(body, "the body")
    except MalformedMessage:
        return None  # an inline payload
    texts = ("TopicArn", "MessageId", "Message")
    if not isinstance(members, dict) or members.get("Type") != "Notification":
        return None
    return members if all(isinstance(members.get(name), str) for name in texts) else None


def _notification(members: Mapping[str, object]) -> _Delivery:
    return _Delivery(
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
    data_type = _first(member, _TYPE_NAMES)
    value = _first(member, (*_TEXT_NAMES, *_BINARY_NAMES))
    if not isinstance(data_type, str) or not isinstance(value, str | bytes):
        raise MalformedMessage(f"the message attribute {name[:_SHOWN_CHARACTERS]!r} has no data type or no value")
    if data_type.startswith("Binary") and isinstance(value, str):
        return Attribute(data_type, _decoded(name, value))
    return Attribute(data_type, value)


def _decoded(name: str, value: str) -> bytes:
    # Binary attributes are in base64 in every form except the SQS API.
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedMessage(f"the binary message attribute {name[:_SHOWN_CHARACTERS]!r} is not base64") from None


def _first(member: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((member[name] for name in names if member.get(name) is not None), None)


def _mapping(value: object, subject: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise MalformedMessage(f"{subject} is not a mapping of names to values")
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
