"""Message attributes: values that SNS accepts and rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claim_check import Attribute, InvalidMessage, Publisher
from tests.lambdas.claim_check.deliveries import NotedSns

if TYPE_CHECKING:
    pass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


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
        ("a", None, "pass str"),
        ("a", float("nan"), "pass str"),
        ("a", float("inf"), "pass str"),
        ("a", 10**200, "pass str"),
        ("a", Attribute("Number", "one"), "not a number"),
        ("a", Attribute("Text", "one"), "is not String"),
        ("a", Attribute("String", b"one"), "cannot hold bytes"),
        ("a", Attribute("Binary", "one"), "cannot hold str"),
    ],
)
def test_invalid_attribute_is_rejected(name: str, value: Any, advice: str, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match=advice):
        publisher.publish(b"x", attributes={name: value})


@pytest.mark.parametrize("number", [10**126, -(10**128), 9e125, -9e127, 0, -0.5])
def test_number_in_the_range_of_sns_is_accepted(number: float, publisher: Publisher, sns: NotedSns) -> None:
    publisher.publish("x", attributes={"a": number})
    assert sns.published[0]["MessageAttributes"]["a"] == {"DataType": "Number", "StringValue": str(number)}


@pytest.mark.parametrize("number", [10**126 + 1, -(10**128) - 1])
def test_number_outside_the_range_of_sns_is_rejected(number: int, publisher: Publisher) -> None:
    with pytest.raises(InvalidMessage, match="a number in SNS's range"):
        publisher.publish("x", attributes={"a": number})


def test_data_type_has_up_to_256_characters(publisher: Publisher) -> None:
    publisher.publish("x", attributes={"a": Attribute("String." + "x" * 249, "v")})
    with pytest.raises(InvalidMessage, match="data type"):
        publisher.publish("x", attributes={"a": Attribute("String." + "x" * 250, "v")})


def test_attribute_size_counts_bytes() -> None:
    assert Attribute("String", "äb").size("ü") == len("ü".encode()) + len("String") + len("äb".encode())
