"""Message attributes: the caller's values, the form that SNS accepts, and their size as SNS counts it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from claim_check.errors import InvalidMessage
from claim_check.wire.text import is_publishable

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

RESERVED_ATTRIBUTES = frozenset({"ExtendedPayloadSize", "SQSLargePayloadSize", "ClaimCheck", "S3Key"})
"""Names that callers must not use, because a reader would act on them.

With `S3Key`, AWS's libraries allow a caller to name the object's key. Here the key derives from the message id: a
retry finds its own object, and no caller writes outside the store's prefix. To choose the key, choose the message id.
"""

_type = re.compile(r"(String|Number|Binary|String\.Array)(\.[A-Za-z0-9_.-]+)?")
_name = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_number = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MAXIMUM_TYPE_CHARACTERS = 256


class Attribute(NamedTuple):
    """One typed message attribute.

    `data_type` is SNS's: `String`, `Number`, `Binary` or `String.Array`, with an optional custom suffix (`Number.int`).
    `value` is text, or bytes for `Binary`. The value of a Number is text, so that no digit is lost.
    """

    data_type: str
    value: str | bytes

    @classmethod
    def of(cls, value: str | float | bytes | Attribute) -> Attribute:
        """Return the attribute of a plain Python value. Raises InvalidMessage for any other type, bool included."""
        match value:
            case Attribute():
                return value
            case str():
                return cls("String", value)
            case bytes():
                return cls("Binary", value)
            case bool():
                raise InvalidMessage(f"an attribute cannot be {value!r}: pass a string, or 1 or 0")
            case int() | float() if -(10**128) <= value <= 10**126:  # SNS's range; excludes infinity and NaN
                return cls("Number", repr(value))
        raise InvalidMessage(
            f"an attribute cannot be a {type(value).__name__} of this value: pass str, bytes or a number in SNS's range"
        )

    def size(self, name: str) -> int:
        """Return the bytes that the attribute `name` adds to a message: SNS counts name, data type and value."""
        return len(name.encode()) + len(self.data_type.encode()) + len(_octets(self.value))

    def wire(self) -> MessageAttributeValueTypeDef:
        """Return the attribute as boto3's `publish` accepts it."""
        if isinstance(self.value, bytes):
            return {"DataType": self.data_type, "BinaryValue": self.value}
        return {"DataType": self.data_type, "StringValue": self.value}


def total_size(attributes: Mapping[str, Attribute]) -> int:
    """Return the bytes that all attributes add to a message."""
    return sum(attribute.size(name) for name, attribute in attributes.items())


def checked_attributes(attributes: Mapping[str, str | float | bytes | Attribute]) -> dict[str, Attribute]:
    """Return a copy of the attributes. Raises InvalidMessage if SNS or SQS would reject one of them."""
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
        return "this name is reserved for pointers to stored payloads: choose another name"
    if not _name.fullmatch(name) or name.lower().startswith(("aws.", "amazon.")):
        return (
            "a name has 1 to 256 of A-Z a-z 0-9 _ - and single inner dots, and does not start with 'AWS.' or 'Amazon.'"
        )
    if len(attribute.data_type) > _MAXIMUM_TYPE_CHARACTERS or not _type.fullmatch(attribute.data_type):
        return f"data type {attribute.data_type!r} is not String, Number, Binary or String.Array with or without suffix"
    if attribute.data_type.startswith("Binary") is not isinstance(value, bytes):
        return f"a {attribute.data_type} cannot hold {type(value).__name__}: Binary holds bytes, other types hold text"
    if not value:
        return "SNS rejects an empty value: omit the attribute"
    if isinstance(value, str) and not is_publishable(value):
        return "SNS rejects a character of its text (a control character or an unpaired surrogate)"
    if attribute.data_type.startswith("Number") and not _number.fullmatch(str(value)):
        return f"{value!r} is not a number"
    return None


def _octets(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
