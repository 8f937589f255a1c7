"""Envelopes: the forms in which messages are received."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claim_check import (
    Attribute,
    Dereferencer,
    MalformedMessage,
    Publisher,
)
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, ENVELOPED, SNS_ID, SQS_ID, NotedSns, queued, short_id


@pytest.mark.parametrize("name", DELIVERIES)
def test_message_of_another_library_has_the_delivery_id(name: str, dereferencer: Dereferencer) -> None:
    published = {"TopicArn": TOPIC, "Message": "hello", "MessageAttributes": {}}
    message = dereferencer.message(DELIVERIES[name](published))
    assert message.id == (SNS_ID if name in ENVELOPED else SQS_ID)
    assert (message.payload.read(), message.sha256, message.pointer, message.stored) == (b"hello", None, None, None)


def test_payload_in_envelope_form_is_not_opened(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    inner = json.dumps({"Type": "Notification", "TopicArn": TOPIC, "MessageId": "x", "Message": "inner"})
    publisher.publish(inner, message_id="outer")
    for name, delivered in DELIVERIES.items():
        message = dereferencer.message(delivered(sns.published[0]))
        assert (message.id, message.payload.text()) == ("outer", inner), name


def test_envelope_with_added_attributes_is_opened(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    publisher.publish(b"\x00", message_id="m")
    record = DELIVERIES["SQS API, enveloped"](sns.published[0])
    record["MessageAttributes"] = {"Reason": {"DataType": "String", "StringValue": "PayloadUnavailable"}}
    assert dereferencer.message(record).payload.read() == b"\x00"


@pytest.mark.parametrize(
    "body",
    [
        '{"Type":"Notification"}',
        '{"Type":"Notification","TopicArn":"t","MessageId":"m","Message":{}}',
        '{"Type":"SubscriptionConfirmation","TopicArn":"t","MessageId":"m","Message":"Notification"}',
        '{"a":"Notification",' * 5000,
        '["Notification"]',
        '{"Type":"Notification"',
        "  {",
    ],
    ids=short_id,
)
def test_body_similar_to_envelope_is_a_payload(body: str, dereferencer: Dereferencer) -> None:
    assert dereferencer.message({"messageId": "m", "body": body}).payload.text() == body


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        "x",
        7,
        {},
        {1: 2},
        {"body": 7},
        {"Body": None},
        {"body": "\ud800", "messageId": "m"},
        {"Sns": None},
        {"Sns": []},
        {"Sns": {}},
        {"Sns": {"Message": "x"}},
        {"Sns": {"Message": "x", "MessageId": 7}},
        {"Sns": {"Message": "x", "MessageId": "a/../b"}},
        {"Sns": {"Message": "x", "MessageId": "m", "Subject": {}}},
        {"Sns": {"Message": "x", "MessageId": "m", "TopicArn": []}},
        {"Sns": {"Message": "x", "MessageId": "m", "MessageAttributes": []}},
        {"Sns": {"Message": "x", "MessageId": "m", "MessageAttributes": {"a": None}}},
        {"Sns": {"Message": "x", "MessageId": "m", "MessageAttributes": {"a": {"Type": "String"}}}},
        {"Sns": {"Message": "x", "MessageId": "m", "MessageAttributes": {"a": {"Type": 1, "Value": "x"}}}},
        {"Sns": {"Message": "x", "MessageId": "m", "MessageAttributes": {"a": {"Type": "Binary", "Value": "?"}}}},
        {"Sns": {"Message": "x", "MessageId": "m", "MessageAttributes": {"a": {"Type": "Binary", "Value": "é"}}}},
        {"body": "x"},
        {"body": "x", "messageId": "m" * 1_000_000},
        {"body": "x", "messageId": "m\nERROR forged log line"},
    ],
    ids=short_id,
)
def test_record_in_no_known_form_is_malformed(record: Any, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage) as caught:
        dereferencer.message(record)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_attributes_have_the_senders_types(dereferencer: Dereferencer) -> None:
    record = {
        "messageId": "m",
        "body": "x",
        "messageAttributes": {
            "number": {"dataType": "Number.int", "stringValue": "007"},
            "binary": {"dataType": "Binary", "binaryValue": "AP8="},
        },
    }
    message = dereferencer.message(record)
    assert message.attributes == {"number": Attribute("Number.int", "007"), "binary": Attribute("Binary", b"\x00\xff")}
    with pytest.raises(TypeError):
        message.attributes["number"] = Attribute("String", "x")  # type: ignore[index]


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        ({"dataType": "String"}, "has no data type or no value"),
        ({"dataType": "Binary", "binaryValue": "?"}, "is not base64"),
    ],
)
def test_long_attribute_name_is_shortened(member: Any, problem: str, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage, match=f"message attribute '{'a' * 256}' {problem}"):
        dereferencer.message({"body": "x", "messageId": "m", "messageAttributes": {"a" * 300: member}})


@pytest.mark.parametrize(
    ("record", "subject"),
    [
        (7, "the record"),
        ({"Sns": []}, "the record's Sns"),
        ({"body": "x", "messageAttributes": []}, "the message attributes"),
        ({"body": "x", "messageAttributes": {"a": 1}}, "a message attribute"),
    ],
    ids=short_id,
)
def test_error_names_the_malformed_part(record: Any, subject: str, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage, match=f"^{subject} is not a mapping of names to values$"):
        dereferencer.message(record)


def test_error_has_the_best_known_id(dereferencer: Dereferencer) -> None:
    def error_id(**attributes: str) -> str | None:
        with pytest.raises(MalformedMessage) as caught:
            dereferencer.message(queued("x", attributes))
        return caught.value.message_id

    assert error_id(ExtendedPayloadSize="-1") == "m-1"
    assert error_id(ClaimCheck="{}") == "m-1"
    assert error_id(ClaimCheck='{"id":"m-2"}', ExtendedPayloadSize="-1") == "m-2"
