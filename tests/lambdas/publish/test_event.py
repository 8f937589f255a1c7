"""Publishing of an event of the bus, with SNS as a stub."""

import json
from typing import Any

import pytest

from claim_check import InvalidMessage
from publish.event import publish_event
from tests.lambdas.publish.publishing import Publishing

EVENT_ID = "7bf73129-1428-4cd3-a780-95db273d1602"


def bus_event(detail: Any, **changes: str) -> dict[str, Any]:
    return {
        "id": EVENT_ID,
        "source": "shop.orders",
        "detail-type": "Order placed",
        "account": "444444444444",
        "detail": detail,
        **changes,
    }


@pytest.fixture
def publishing(aws: None) -> Publishing:
    return Publishing()


def test_detail_is_the_payload(publishing: Publishing) -> None:
    detail = {"order": 4711, "text": "grün 🧥"}
    publish_event(bus_event(detail), publisher=publishing.publisher)
    (message,) = publishing.messages()
    assert message.id == EVENT_ID
    assert message.payload.read() == b'{"order":4711,"text":"gr\xc3\xbcn \xf0\x9f\xa7\xa5"}'
    assert {name: attribute.value for name, attribute in message.attributes.items()} == {
        "source": "shop.orders",
        "detail-type": "Order placed",
        "account": "444444444444",
    }


@pytest.mark.parametrize("detail", [{"text": "\x07"}, {"text": "\ufffe"}, {}])
def test_detail_with_any_character_is_published(publishing: Publishing, detail: dict[str, str]) -> None:
    """JSON escapes control characters. A character that SNS rejects is offloaded."""
    publish_event(bus_event(detail), publisher=publishing.publisher)
    (message,) = publishing.messages()
    assert message.payload.json() == detail


def test_infinite_number_is_rejected(publishing: Publishing) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        publish_event(bus_event(json.loads('{"huge": 1e400}')), publisher=publishing.publisher)


@pytest.mark.parametrize("name", ["source", "detail-type"])
def test_attribute_rejected_by_sns_is_invalid(publishing: Publishing, name: str) -> None:
    """EventBridge allows control characters in both fields, and SNS does not."""
    event = bus_event({"n": 1}, **{name: "shop\x07"})
    with pytest.raises(InvalidMessage, match=f"attribute '{name}': SNS rejects a character") as error:
        publish_event(event, publisher=publishing.publisher)
    assert error.value.permanent
    assert publishing.messages() == []


def test_source_is_the_group_in_a_fifo_topic(aws: None) -> None:
    publishing = Publishing(fifo=True)
    publish_event(bus_event({"n": 1}), publisher=publishing.publisher)
    assert publishing.groups() == ["shop.orders"]
