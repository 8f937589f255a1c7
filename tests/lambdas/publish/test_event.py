"""Publishing of an event of the bus, with SNS as a stub."""

import json
from typing import Any

import pytest

from claim_check import InvalidMessage
from publish.event import publish_event
from tests.lambdas.publish.publishing import Publishing

EVENT_ID = "7bf73129-1428-4cd3-a780-95db273d1602"


TIME = "2026-01-02T03:04:05Z"


def bus_event(detail: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": EVENT_ID,
        "source": "shop.orders",
        "detail-type": "Order placed",
        "account": "444444444444",
        "time": TIME,
        "resources": [],
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
        "time": TIME,
    }


@pytest.mark.parametrize("detail", [{"text": "\x07"}, {"text": "\ufffe"}, {}])
def test_detail_with_any_character_is_published(publishing: Publishing, detail: dict[str, str]) -> None:
    """JSON escapes control characters. A character that SNS rejects is offloaded."""
    publish_event(bus_event(detail), publisher=publishing.publisher)
    (message,) = publishing.messages()
    assert message.payload.json() == detail


def test_resources_are_an_array(publishing: Publishing) -> None:
    resources = ["arn:aws:dynamodb:us-east-1:444444444444:table/orders", "arn:2"]
    publish_event(bus_event({"n": 1}, resources=resources), publisher=publishing.publisher)
    (message,) = publishing.messages()
    data_type, value = message.attributes["resources"]
    assert data_type == "String.Array"
    assert json.loads(value) == resources


@pytest.mark.parametrize(
    ("detail", "problem"),
    [(json.loads('{"huge": 1e400}'), "a number that is infinite"), ({"text": "\ud83e"}, "surrogate")],
    ids=["number", "surrogate"],
)
def test_detail_without_a_text_form_is_refused(publishing: Publishing, detail: Any, problem: str) -> None:
    with pytest.raises(InvalidMessage, match=problem) as error:
        publish_event(bus_event(detail), publisher=publishing.publisher)
    assert error.value.permanent


@pytest.mark.parametrize("source", ["outbox", "Outbox"])
def test_event_cannot_pass_for_an_upload(publishing: Publishing, source: str) -> None:
    with pytest.raises(InvalidMessage, match="is reserved for uploads; choose another source"):
        publish_event(bus_event({"n": 1}, source=source), publisher=publishing.publisher)
    assert publishing.requests == []


@pytest.mark.parametrize("name", ["source", "detail-type"])
def test_attribute_rejected_by_sns_is_invalid(publishing: Publishing, name: str) -> None:
    """EventBridge allows control characters in both fields, and SNS does not."""
    event = bus_event({"n": 1}, **{name: "shop\x07"})
    with pytest.raises(InvalidMessage, match=f"attribute '{name}': SNS rejects a character") as error:
        publish_event(event, publisher=publishing.publisher)
    assert error.value.permanent
    assert publishing.messages() == []


@pytest.mark.parametrize("source", ["shop.orders", "444444444444/outbox/shop"])
def test_account_and_source_are_the_group_in_a_fifo_topic(aws: None, source: str) -> None:
    """No event is in a group of uploads, or of another account."""
    publishing = Publishing(fifo=True)
    publish_event(bus_event({"n": 1}, source=source), publisher=publishing.publisher)
    assert publishing.groups() == [f"444444444444/bus/{source}"]
