"""Events put on a bus: how large they may be, and that a refusal is an error."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from claim_check import InvalidMessage, PayloadTooLarge
from claim_check.publishing.event import LARGEST_ENTRY, entry_size, put_event, refuse_too_large

BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/coatcheck"
EVENT: Any = {"bus": BUS, "source": "shop", "detail_type": "order.placed"}


@pytest.fixture
def stub() -> Any:
    keys: Any = {"aws_access_key_id": "a", "aws_secret_access_key": "s"}
    stubber = Stubber(boto3.Session(**keys).client("events", region_name="eu-west-1"))
    stubber.activate()
    return stubber


@pytest.mark.parametrize(
    ("entry", "size"),
    [
        ({"Source": "shop", "DetailType": "t", "Detail": "{}"}, 4 + 1 + 2),
        ({"Source": "Müller", "DetailType": "🧥", "Detail": '{"a":"ü"}'}, 7 + 4 + 10),
        ({"Source": "s", "DetailType": "t", "Detail": "{}", "Time": datetime.now(UTC)}, 1 + 1 + 2 + 14),
        ({"Source": "s", "DetailType": "t", "Detail": "{}", "Resources": ["arn:1", "ä"]}, 1 + 1 + 2 + 5 + 2),
        ({"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": BUS, "TraceHeader": "x"}, 1 + 1 + 2),
        ({"Source": "s", "DetailType": "t"}, 2),
    ],
)
def test_an_entry_counts_as_eventbridge_counts_it(entry: dict[str, Any], size: int) -> None:
    assert entry_size(entry) == size


def test_the_largest_event_passes_and_one_byte_more_is_told_the_way_out() -> None:
    entry = {"Source": "s", "DetailType": "t", "Detail": "x" * (LARGEST_ENTRY - 2)}
    refuse_too_large(entry)
    with pytest.raises(PayloadTooLarge, match=r"has 1000001 bytes, more than 1000000: .* outbox") as refused:
        refuse_too_large(entry | {"Source": "ss"})
    assert refused.value.permanent


def test_what_is_too_large_is_not_sent(stub: Any) -> None:
    with pytest.raises(PayloadTooLarge):
        put_event(**EVENT, detail={"text": "ü" * (LARGEST_ENTRY // 2)}, events=stub.client)
    stub.assert_no_pending_responses()  # the stub knows no request at all, and would have refused one


@pytest.mark.parametrize("detail", [{"text": "grün"}, '{"text":"grün"}'], ids=["object", "text"])
def test_an_event_is_put_and_its_id_told(stub: Any, detail: Any) -> None:
    entry = {"EventBusName": BUS, "Source": "shop", "DetailType": "order.placed", "Detail": '{"text":"grün"}'}
    answer = {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}
    stub.add_response("put_events", answer, {"Entries": [{**entry, "Resources": ["arn:1"]}]})
    assert put_event(**EVENT, detail=detail, resources=["arn:1"], events=stub.client) == "e-1"
    stub.assert_no_pending_responses()


def test_an_event_that_eventbridge_refuses_is_an_error_although_the_request_succeeded(stub: Any) -> None:
    refusal = {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    stub.add_response("put_events", {"FailedEntryCount": 1, "Entries": [refusal]}, {"Entries": ANY})
    with pytest.raises(ClientError, match="Not authorized for the source") as refused:
        put_event(**EVENT, detail={}, events=stub.client)
    assert refused.value.response["Error"]["Code"] == "NotAuthorizedForSourceException"


def test_an_event_without_an_answer_is_an_error(stub: Any) -> None:
    answer = {"FailedEntryCount": 1, "Entries": [{}], "ResponseMetadata": {"HTTPStatusCode": 200}}
    stub.add_response("put_events", answer, {"Entries": ANY})
    with pytest.raises(ClientError) as refused:
        put_event(**EVENT, detail={}, events=stub.client)
    assert refused.value.operation_name == "PutEvents"
    assert refused.value.response["Error"] == {"Code": "NoAnswer", "Message": "no reason given"}
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 200


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        ("no JSON", "is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[1]", "must be a JSON object; EventBridge takes no other"),
        ({"a": float("nan")}, "is not JSON: Out of range float values are not JSON compliant"),
        ({"a": object()}, "is not JSON: Object of type object is not JSON serializable"),
    ],
)
def test_a_detail_that_is_no_json_object_is_refused(detail: Any, sentence: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        put_event(**EVENT, detail=detail)
    assert str(refused.value).startswith(f"detail: {sentence}")


def test_a_bus_is_named_by_its_arn() -> None:
    with pytest.raises(ValueError, match="bus = 'coatcheck': must be an event bus's ARN"):
        put_event(**{**EVENT, "bus": "coatcheck"}, detail={})


def test_without_a_client_one_of_the_buss_region_is_made(monkeypatch: pytest.MonkeyPatch, stub: Any) -> None:
    made: list[Any] = []

    def client(*service: str, **where: str) -> Any:
        made.append((service, where))
        return stub.client

    monkeypatch.setattr(boto3, "client", client)
    stub.add_response("put_events", {"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]}, {"Entries": ANY})
    put_event(**EVENT, detail=json.dumps({}))
    assert made == [(("events",), {"region_name": "eu-west-1"})]
