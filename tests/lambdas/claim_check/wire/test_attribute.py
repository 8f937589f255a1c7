"""Message attributes: values that SNS accepts and rejects."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from numbers import Real
from typing import Any

import pytest

from claim_check import Attribute, InvalidMessage, Publisher
from tests.lambdas.claim_check.deliveries import NotedSns


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("ExtendedPayloadSize", 1, "reserved"),
        ("SQSLargePayloadSize", 1, "reserved"),
        ("ClaimCheck", "x", "reserved"),
        ("S3Key", "x", "reserved"),
        ("", "x", "1 to 256"),
        ("a b", "x", "1 to 256"),
        ("a..b", "x", "single inner dots"),
        (".a", "x", "1 to 256"),
        ("a.", "x", "1 to 256"),
        ("AWS.a", "x", "does not start"),
        ("amazon.a", "x", "does not start"),
        ("a", "", "empty"),
        ("a", b"", "empty"),
        ("a", "\x00", "SNS rejects"),
        ("a", True, "pass a string, or 1 or 0"),
        ("a", None, "attribute 'a': a value cannot be of type NoneType: pass str"),
        ("a", [1], "a value cannot be of type list: pass str"),
        ("a", 1j, "a value cannot be of type complex"),
        ("a", datetime(2026, 1, 1), "a value cannot be of type datetime"),
        ("a", float("nan"), "'nan' is not a number in SNS's range"),
        ("a", float("-inf"), "'-inf' is not a number in SNS's range"),
        ("a", Decimal("NaN"), "'NaN' is not a number in SNS's range"),
        ("a", Decimal("Infinity"), "'Infinity' is not a number in SNS's range"),
        ("a", Fraction(1, 3), "'1/3' is not a number in SNS's range, from -1e128 to 1e126: pass it as a string"),
        pytest.param("a", 10**5000, "in SNS's range", id="5000 digits"),
        ("a", 10**126 + 1, "in SNS's range"),
        ("a", Attribute("Number", str(-(10**128) - 1)), "in SNS's range"),
        ("a", Attribute("Number.int", "1e99999999999999999999"), "in SNS's range"),
        ("a", Attribute("Number", 5), "cannot hold int"),  # type: ignore[arg-type]
        (7, "x", "1 to 256"),
        ("a", Attribute("Number", "one"), "attribute 'a': 'one' is not a number"),
        ("a", Attribute("Text", "one"), "is not String"),
        ("a", Attribute("String", b"one"), "cannot hold bytes"),
        ("a", Attribute("Binary", "one"), "cannot hold str"),
    ],
)
def test_invalid_attribute_is_rejected(name: str, value: Any, advice: str, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match=advice):
        publisher.publish(b"x", attributes={name: value})


class Priority(IntEnum):
    HIGH = 2


class Kind(str, Enum):  # noqa: UP042 - str() of a member is not its value
    SCAN = "scan"


class Float(float):
    """A subclass with another repr, as numpy.float64 is."""

    def __repr__(self) -> str:
        return "np.float64(1.5)"


class Index:
    """An integer that is no int, as numpy.int64 is."""

    def __index__(self) -> int:
        return 3


@Real.register
class Single:
    """A real number that is no float, as numpy.float32 is."""

    def __str__(self) -> str:
        return "0.1"


@pytest.mark.parametrize(
    ("value", "attribute"),
    [
        (Decimal("9.990"), Attribute("Number", "9.990")),
        (Decimal("-1E+3"), Attribute("Number", "-1E+3")),
        (Priority.HIGH, Attribute("Number", "2")),
        (Float(1.5), Attribute("Number", "1.5")),
        (Index(), Attribute("Number", "3")),
        (Single(), Attribute("Number", "0.1")),
        (0.1, Attribute("Number", "0.1")),
        (Kind.SCAN, Attribute("String", "scan")),
        (bytearray(b"ab"), Attribute("Binary", b"ab")),
        (memoryview(b"ab"), Attribute("Binary", b"ab")),
        (Attribute("Number.int", "7"), Attribute("Number.int", "7")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_of_any_kind_keeps_its_digits(
    value: Any, attribute: Attribute, publisher: Publisher, sns: NotedSns
) -> None:
    made = Attribute.of(value)
    assert (made, type(made.value)) == (attribute, type(attribute.value))
    publisher.publish("x", attributes={"a": value})
    assert sns.published[0]["MessageAttributes"]["a"] == attribute.wire()


@pytest.mark.parametrize("number", [10**126, -(10**128), 9e125, -9e127, 0, -0.5])
def test_number_in_the_range_of_sns_is_accepted(number: float, publisher: Publisher, sns: NotedSns) -> None:
    publisher.publish("x", attributes={"a": number})
    assert sns.published[0]["MessageAttributes"]["a"] == {"DataType": "Number", "StringValue": str(number)}


def test_data_type_has_up_to_256_characters(publisher: Publisher) -> None:
    publisher.publish("x", attributes={"a": Attribute("String." + "x" * 249, "v")})
    with pytest.raises(InvalidMessage, match="data type"):
        publisher.publish("x", attributes={"a": Attribute("String." + "x" * 250, "v")})


def test_attribute_size_counts_bytes() -> None:
    assert Attribute("String", "äb").size("ü") == len("ü".encode()) + len("String") + len("äb".encode())
