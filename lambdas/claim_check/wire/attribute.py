"""Message attributes: the caller's values in, SNS's wire form out, and their size as SNS counts it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from claim_check.errors import InvalidMessage
from claim_check.wire.text import is_publishable

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

type_pattern = re.compile(r"(String|Number|Binary|String\.Array)(\.[A-Za-z0-9_.-]+)?")
name_pattern = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
number_pattern = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

# Written by us or by another claim-check library; a caller's attribute of the same name would change what a reader
# does. `S3Key`, by which AWS's libraries let a caller name the object's key, is refused with them: a key derives from
# the message id, so that a retry finds its own object, no caller leaves the store's prefix, and no key is used twice.
# Who wants a key of their own passes it as the message id.
RESERVED_ATTRIBUTES = frozenset({"ExtendedPayloadSize", "SQSLargePayloadSize", "ClaimCheck", "S3Key"})


class Attribute(NamedTuple):
    """One typed message attribute.

    `data_type` is SNS's: `String`, `Number`, `Binary` or `String.Array`, optionally with a custom suffix
    (`Number.int`). `value` is text, or bytes for `Binary`. A Number stays text, so that no digit is lost.
    """

    data_type: str
    value: str | bytes

    @classmethod
    def of(cls, value: str | float | bytes | Attribute) -> Attribute:
        """The attribute a plain Python value stands for. Raises InvalidMessage for anything else, bool included."""
        match value:
            case Attribute():
                return value
            case str():
                return cls("String", value)
            case bytes():
                return cls("Binary", value)
            case bool():
                raise InvalidMessage(f"an attribute cannot be {value!r}: pass a string, or 1 or 0")
            case int() | float() if -(10**128) <= value <= 10**126:  # SNS's range; neither infinite nor NaN
                return cls("Number", repr(value))
        raise InvalidMessage(
            f"an attribute cannot be this {type(value).__name__}: pass str, bytes or a number SNS can hold"
        )

    def size(self, name: str) -> int:
        """Bytes it adds to a message called `name`: SNS counts name, data type and value."""
        return len(name.encode()) + len(self.data_type.encode()) + len(_bytes(self.value))

    def wire(self) -> MessageAttributeValueTypeDef:
        """As boto3's `publish` takes it."""
        if isinstance(self.value, bytes):
            return {"DataType": self.data_type, "BinaryValue": self.value}
        return {"DataType": self.data_type, "StringValue": self.value}


def total_size(attributes: Mapping[str, Attribute]) -> int:
    """Bytes that all attributes add to a message."""
    return sum(attribute.size(name) for name, attribute in attributes.items())


def checked(attributes: Mapping[str, str | float | bytes | Attribute]) -> dict[str, Attribute]:
    """The caller's attributes as a new dict, each one acceptable to SNS and SQS; else InvalidMessage names it."""
    result = {}
    for name, value in attributes.items():
        attribute = Attribute.of(value)
        problem = _problem(name, attribute)
        if problem:
            raise InvalidMessage(f"attribute {name!r}: {problem}")
        result[name] = attribute
    return result


def _problem(name: str, attribute: Attribute) -> str | None:
    value = attribute.value
    if name in RESERVED_ATTRIBUTES:
        return "this name is reserved for pointers to stored payloads; choose another"
    if not name_pattern.fullmatch(name) or name.lower().startswith(("aws.", "amazon.")):
        return (
            "a name has 1 to 256 of A-Z a-z 0-9 _ - and single inner dots, and does not start with 'AWS.' or 'Amazon.'"
        )
    if len(attribute.data_type) > 256 or not type_pattern.fullmatch(attribute.data_type):
        return f"data type {attribute.data_type!r} is not String, Number, Binary or String.Array (with a suffix or not)"
    if attribute.data_type.startswith("Binary") is not isinstance(value, bytes):
        return f"a {attribute.data_type} cannot hold {type(value).__name__}: Binary holds bytes, all others text"
    if not value:
        return "SNS refuses an empty value; leave the attribute out"
    if isinstance(value, str) and not is_publishable(value):
        return "its text holds a character that SNS refuses (a control character or half a surrogate pair)"
    if attribute.data_type.startswith("Number") and not number_pattern.fullmatch(str(value)):
        return f"{value!r} is not a number"
    return None


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
