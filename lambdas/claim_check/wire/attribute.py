"""Message attributes: the caller's values, the form that SNS accepts, and their size as SNS counts it."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

from claim_check.errors import InvalidMessage
from claim_check.wire.text import is_publishable

if TYPE_CHECKING:
    from mypy_boto3_sns.type_defs import MessageAttributeValueTypeDef

RESERVED_ATTRIBUTES = frozenset(
    {"ExtendedPayloadSize", "SQSLargePayloadSize", "CompressedPayloadSize", "ClaimCheck", "S3Key"}
)
"""Names that callers must not use, because a reader would act on them.

With `S3Key`, AWS's libraries allow a caller to name the object's key. Here the key derives from the message id: a
retry finds its own object, and no caller writes outside the store's prefix. To choose the key, choose the message id.
"""

_type = re.compile(r"(String|Number|Binary|String\.Array)(\.[A-Za-z0-9_.-]+)?")
_name = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_number = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MAXIMUM_TYPE_CHARACTERS = 256
_SHOWN_CHARACTERS = 50
_LOWEST, _HIGHEST = Decimal("-1e128"), Decimal("1e126")


class Attribute(NamedTuple):
    """One typed message attribute.

    `data_type` is SNS's: `String`, `Number`, `Binary` or `String.Array`, with an optional custom suffix (`Number.int`).
    `value` is text, or bytes for `Binary`. The value of a Number is text, so that no digit is lost.
    """

    data_type: str
    value: str | bytes

    @classmethod
    def of(cls, value: AttributeValue) -> Attribute:
        """Return the attribute of a plain Python value.

        A number keeps its digits, also a Decimal, an IntEnum or a number of numpy. Raises InvalidMessage for any other
        type, bool included.
        """
        match value:
            case Attribute():
                return value
            case str():
                return cls("String", str.__str__(value))  # the text of a member of a StrEnum
            case bytes() | bytearray() | memoryview():
                return cls("Binary", bytes(value))
            case bool():
                raise InvalidMessage(f"a value cannot be {value!r}: pass a string, or 1 or 0")
        text = _number_text(value)
        if text is None:
            raise InvalidMessage(
                f"a value cannot be of type {type(value).__name__}: pass str, bytes or a number, or text made of it"
            )
        if not _is_number(text):
            raise InvalidMessage(_no_number(text))
        return cls("Number", text)

    def size(self, name: str) -> int:
        """Return the bytes that the attribute `name` adds to a message: SNS counts name, data type and value."""
        return len(name.encode()) + len(self.data_type.encode()) + len(_octets(self.value))

    def wire(self) -> MessageAttributeValueTypeDef:
        """Return the attribute as boto3's `publish` accepts it."""
        if isinstance(self.value, bytes):
            return {"DataType": self.data_type, "BinaryValue": self.value}
        return {"DataType": self.data_type, "StringValue": self.value}


AttributeValue = str | float | Decimal | bytes | bytearray | memoryview | Attribute
"""The values of a caller's attributes. IntEnum and numbers of numpy are accepted, too."""


def total_size(attributes: Mapping[str, Attribute]) -> int:
    """Return the bytes that all attributes add to a message."""
    return sum(attribute.size(name) for name, attribute in attributes.items())


def checked_attributes(attributes: Mapping[str, AttributeValue]) -> dict[str, Attribute]:
    """Return a copy of the attributes. Raises InvalidMessage if SNS or SQS would reject one of them."""
    result = {}
    for name, value in attributes.items():
        try:
            attribute = Attribute.of(value)
        except InvalidMessage as error:
            raise InvalidMessage(f"attribute {name!r}: {error}") from None
        problem = _problem(name, attribute)
        if problem:
            raise InvalidMessage(f"attribute {name!r}: {problem}")
        result[name] = attribute
    return result


def _problem(name: str, attribute: Attribute) -> str | None:
    value = attribute.value
    if name in RESERVED_ATTRIBUTES:
        return "this name is reserved for pointers to stored payloads: choose another name"
    if not isinstance(name, str) or not _name.fullmatch(name) or name.lower().startswith(("aws.", "amazon.")):
        return (
            "a name has 1 to 256 of A-Z a-z 0-9 _ - and single inner dots, and does not start with 'AWS.' or 'Amazon.'"
        )
    if len(attribute.data_type) > _MAXIMUM_TYPE_CHARACTERS or not _type.fullmatch(attribute.data_type):
        return f"data type {attribute.data_type!r} is not String, Number, Binary or String.Array with or without suffix"
    if not isinstance(value, bytes if attribute.data_type.startswith("Binary") else str):
        return f"a {attribute.data_type} cannot hold {type(value).__name__}: Binary holds bytes, other types hold text"
    if not value:
        return "SNS rejects an empty value: omit the attribute"
    if isinstance(value, str) and not is_publishable(value):
        return "SNS rejects a character of its text (a control character or an unpaired surrogate)"
    if attribute.data_type.startswith("Number") and not _is_number(str(value)):
        return _no_number(str(value))
    return None


def _is_number(text: str) -> bool:
    if not _number.fullmatch(text):
        return False
    try:
        return _LOWEST <= Decimal(text) <= _HIGHEST
    except InvalidOperation:  # an exponent that Decimal cannot have
        return False


def _no_number(text: str) -> str:
    return f"{text[:_SHOWN_CHARACTERS]!r} is not a number in SNS's range, from -1e128 to 1e126: pass it as a string"


def _number_text(value: object) -> str | None:
    """Return the digits of a number, or None for another type."""
    try:
        return str(Decimal(operator.index(value)))  # type: ignore[arg-type]  # str(int) ends at 4,300 digits
    except TypeError:
        pass
    if isinstance(value, float):
        return float.__repr__(value)  # numpy.float64 has another repr
    return str(value) if isinstance(value, Decimal | Real) else None


def _octets(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
