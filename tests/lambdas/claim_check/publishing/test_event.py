"""Events on a bus: their size, and errors of EventBridge."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.stub import ANY, Stubber

from claim_check import InvalidMessage, MessagingDenied, MessagingUnavailable, PayloadTooLarge, put_event
from claim_check.publishing.event import MAXIMUM_ENTRY_BYTES

BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/coatcheck"
EVENT: Any = {"bus": BUS, "source": "shop", "detail_type": "order.placed"}


@pytest.fixture
def stub() -> Any:
    keys: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "s"}
    stubber = Stubber(boto3.Session(**keys).client("events", region_name="eu-west-1"))
    stubber.activate()
    return stubber


@pytest.mark.parametrize("character", ["x", "ü"])
def test_event_size_counts_all_texts_in_utf8(stub: Any, character: str) -> None:
    texts: dict[str, Any] = {
        "source": character * 3,
        "detail_type": character * 5,
        "resources": [character * 7, character],
    }
    fixed = len((texts["source"] + texts["detail_type"] + "".join(texts["resources"]) + '{"a":""}').encode())
    detail = {"a": "x" * (MAXIMUM_ENTRY_BYTES - fixed)}
    stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}, {"Entries": ANY})
    assert put_event(bus=BUS, detail=detail, events=stub.client, **texts) == "e-1"
    with pytest.raises(PayloadTooLarge, match=r"has 1000001 bytes, more than 1000000: .* outbox") as caught:
        put_event(bus=BUS, detail={"a": detail["a"] + "x"}, events=stub.client, **texts)
    assert caught.value.permanent
    stub.assert_no_pending_responses()  # the stub would have rejected a second request


@pytest.mark.parametrize("detail", [{"text": "grün", "n": 1}, '{"text":"grün","n":1}'], ids=["object", "text"])
def test_event_is_put_and_its_id_returned(stub: Any, detail: Any) -> None:
    entry = {"EventBusName": BUS, "Source": "shop", "DetailType": "order.placed", "Detail": '{"text":"grün","n":1}'}
    response = {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}
    stub.add_response("put_events", response, {"Entries": [{**entry, "Resources": ["arn:1"]}]})
    assert put_event(**EVENT, detail=detail, resources=["arn:1"], events=stub.client) == "e-1"
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["NotAuthorizedForSourceException", "NotAuthorizedForDetailTypeException"])
def test_rejected_event_is_an_error(code: str, stub: Any) -> None:
    refusal = {"ErrorCode": code, "ErrorMessage": "Not authorized for the source."}
    stub.add_response("put_events", {"FailedEntryCount": 1, "Entries": [refusal]}, {"Entries": ANY})
    with pytest.raises(MessagingDenied, match=f"EventBridge returned {code}; the ") as caught:
        put_event(**EVENT, detail={}, events=stub.client)
    assert isinstance(caught.value.__cause__, ClientError)
    assert "Not authorized for the source" in str(caught.value.__cause__)


def test_failed_request_is_an_error_of_the_library(stub: Any) -> None:
    stub.add_client_error("put_events", "InternalFailure", http_status_code=500)
    with pytest.raises(MessagingUnavailable, match=r"^cannot put the event: EventBridge returned InternalFailure$"):
        put_event(**EVENT, detail={}, events=stub.client)
    with pytest.raises(MessagingUnavailable, match="ConnectTimeoutError") as caught:
        put_event(**EVENT, detail={}, events=Unreachable())  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, ConnectTimeoutError)
    with pytest.raises(ZeroDivisionError):
        put_event(**EVENT, detail={}, events=Broken())  # type: ignore[arg-type]


class Unreachable:
    def put_events(self, **_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="x")


class Broken:
    def put_events(self, **_: Any) -> None:
        raise ZeroDivisionError


def test_event_without_result_is_an_error(stub: Any) -> None:
    response = {"FailedEntryCount": 1, "Entries": [{}], "ResponseMetadata": {"HTTPStatusCode": 200}}
    stub.add_response("put_events", response, {"Entries": ANY})
    with pytest.raises(MessagingUnavailable, match="NoResult") as caught:
        put_event(**EVENT, detail={}, events=stub.client)
    stub.add_response("put_events", {})
    with pytest.raises(MessagingUnavailable, match="NoResult"):
        put_event(**EVENT, detail={}, events=stub.client)
    cause = caught.value.__cause__
    assert isinstance(cause, ClientError)
    assert cause.operation_name == "PutEvents"
    assert cause.response["Error"] == {"Code": "NoResult", "Message": "no reason given"}
    assert cause.response["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    ("detail", "problem"),
    [
        ("no JSON", "is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[1]", "must be a JSON object; EventBridge accepts no other value"),
        ({"a": float("nan")}, "is not JSON: Out of range float values are not JSON compliant"),
        ({"a": object()}, "is not JSON: Object of type object is not JSON serializable"),
        ("[" * 100_000, "is nested more than 1000 levels deep"),
    ],
)
def test_detail_must_be_a_json_object(detail: Any, problem: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        put_event(**EVENT, detail=detail)
    assert str(caught.value).startswith(f"detail: {problem}")


HALF = "has half of a surrogate pair"


def listed(levels: int) -> list[Any]:
    detail: list[Any] = []
    for _ in range(levels - 1):
        detail = [detail]
    return detail


def nested(levels: int) -> dict[str, Any]:
    detail: dict[str, Any] = {}
    for _ in range(levels - 1):
        detail = {"a": detail}
    return detail


@pytest.mark.parametrize("form", [dict, json.dumps], ids=["object", "text"])
@pytest.mark.parametrize(
    ("detail", "problem"),
    [
        ({"lines": [{}, {"text": "\ud83e"}]}, f"detail.lines[1].text: {HALF}"),
        ({"a": {"\udfff": 1}}, f"a key in detail.a: {HALF}"),
        ({"a": 2**63}, "detail.a: is an integer of more than 64 bits"),
        ({"a": [-(2**63) - 1]}, "detail.a[0]: is an integer of more than 64 bits"),
        (nested(1_100), "detail: is nested more than 1000 levels deep"),
    ],
    ids=["value", "key", "integer", "negative", "nesting"],
)
def test_detail_beyond_the_limits_is_invalid(detail: Any, problem: str, form: Callable[[Any], Any]) -> None:
    """The error names the place, and nothing of the content."""
    try:
        given = form(detail)
    except RecursionError:  # json.dumps
        given = '{"a":' * 1_099 + "{}" + "}" * 1_099
    with pytest.raises(InvalidMessage) as caught:
        put_event(**EVENT, detail=given)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize("name", ["source", "detail_type", "resources"])
def test_name_with_half_a_surrogate_pair_is_invalid(name: str) -> None:
    value: Any = ["arn:1", "\ud83e"] if name == "resources" else "\ud83e"
    with pytest.raises(InvalidMessage, match=f"^{name}: {HALF}"):
        put_event(**{**EVENT, name: value}, detail={})


@pytest.mark.parametrize(
    "detail",
    [{"a": [2**63 - 1, -(2**63), True, 1.5, None, "🧥"]}, nested(900), {"a": listed(900)}],
    ids=["64", "900", "lists"],
)
def test_detail_within_the_limits_is_put(stub: Any, detail: Any) -> None:
    stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}, {"Entries": ANY})
    assert put_event(**EVENT, detail=detail, events=stub.client) == "e-1"


def test_bus_must_be_an_arn() -> None:
    with pytest.raises(ValueError, match="bus = 'coatcheck': must be an event bus's ARN"):
        put_event(**{**EVENT, "bus": "coatcheck"}, detail={})


def test_client_has_the_region_of_the_bus(monkeypatch: pytest.MonkeyPatch, stub: Any) -> None:
    made: list[Any] = []

    def client(*service: str, **where: str) -> Any:
        made.append((service, where))
        return stub.client

    monkeypatch.setattr(boto3, "client", client)
    stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}, {"Entries": ANY})
    put_event(**EVENT, detail=json.dumps({}))
    assert made == [(("events",), {"region_name": "eu-west-1"})]
