"""Whom a dereferencer believes: nobody but the subscriber's own list of stores."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claim_check import (
    Attribute,
    Dereferencer,
    MalformedMessage,
    PayloadCorrupt,
    Pointer,
    Publisher,
    Replica,
    S3Object,
    Store,
    UntrustedStore,
)
from tests.lambdas.claim_check.conftest import TOPIC
from tests.lambdas.claim_check.deliveries import DELIVERIES, ENVELOPED, SNS_ID, SQS_ID, NotedSns
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3


def pointing(bucket: str, key: str, **more: Any) -> dict[str, Any]:
    marker = {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "3"}}
    return {"MessageId": "m-1", "Body": Pointer(bucket, key).body(), "MessageAttributes": marker, **more}


@pytest.mark.parametrize(
    ("bucket", "key"),
    [
        ("payloads-two", "payloads/k"),
        ("payloads-one.evil", "payloads/k"),
        ("payloads-one", "secrets/k"),
        ("payloads-one", "payloads"),
        ("payloads-one", "payloads/"),
        ("payloads-one", "payloadsk"),
        ("payloads-one", "/payloads/k"),
        ("payloads-one", "payloads/../secrets/k"),
        ("payloads-one", "payloads/.."),
        ("payloads-one", "payloads/./k"),
        ("PAYLOADS-ONE", "payloads/k"),
        ("arn:aws:s3:::payloads-one", "payloads/k"),
    ],
)
def test_a_pointer_elsewhere_is_refused_before_any_call(
    bucket: str, key: str, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    with pytest.raises(UntrustedStore, match=r"s3://payloads-one/payloads/") as caught:
        dereferencer.message(pointing(bucket, key))
    assert caught.value.permanent
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", Pointer(bucket, key))
    assert fake_s3.requests == []


def test_without_stores_nothing_is_trusted() -> None:
    with pytest.raises(UntrustedStore, match="none"):
        Dereferencer(stores=[]).message(pointing("payloads-one", "payloads/k"))


def test_message_has_the_object_in_its_trusted_store(store: Store) -> None:
    other = Store("payloads-two", "", "222222222222", "us-east-1")
    dereferencer = Dereferencer(stores=[store, other])
    assert dereferencer.message(pointing("payloads-one", "payloads/a..b")).stored == store.object_of("a..b")
    assert dereferencer.message(pointing("payloads-two", "0b1c2d3e")).stored == other.object_of("0b1c2d3e")


def test_a_client_is_made_for_each_region_a_store_is_in(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    made: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        "claim_check.receiving.dereferencer.s3_client", lambda region, patient: made.append((region, patient))
    )
    replicas = (Replica("replica-two", "us-east-1"), Replica("replica-three", "eu-west-1"))
    stores = [store, Store("payloads-two", "", "222222222222", "us-east-1", replicas)]
    dereferencer = Dereferencer(stores=stores)
    assert made == []
    dereferencer.message(pointing("payloads-one", "payloads/a"))
    dereferencer.message(pointing("payloads-two", "b"))
    assert made == [("eu-west-1", True), ("us-east-1", True), ("us-east-1", False), ("eu-west-1", False)]


def test_making_a_message_calls_no_service(publisher: Publisher, sns: NotedSns, store: Store, fake_s3: FakeS3) -> None:
    publisher.publish(b"\x00", message_id="m")
    fake_s3.requests.clear()
    message = Dereferencer(stores=[store], s3=fake_s3.client()).message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.size, message.pointer) == (1, Pointer("payloads-one", "payloads/m"))
    assert fake_s3.requests == []


def test_one_bad_record_is_one_bad_record(publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
    publisher.publish("good", message_id="one")
    publisher.publish(b"\x00good", message_id="two")
    good = [DELIVERIES["SQS event, raw"](published) for published in sns.published]
    records = [good[0], {"body": None}, pointing("payloads-two", "k"), good[1]]
    outcomes = list(dereferencer.outcomes(records))
    assert [outcome.record for outcome in outcomes] == records
    assert [type(outcome.error) for outcome in outcomes] == [type(None), MalformedMessage, UntrustedStore, type(None)]
    assert [outcome.message and outcome.message.id for outcome in outcomes] == ["one", None, None, "two"]


@pytest.mark.parametrize("name", DELIVERIES)
def test_a_foreign_message_goes_by_the_id_of_its_delivery(name: str, dereferencer: Dereferencer) -> None:
    published = {"TopicArn": TOPIC, "Message": "hello", "MessageAttributes": {}}
    message = dereferencer.message(DELIVERIES[name](published))
    assert message.id == (SNS_ID if name in ENVELOPED else SQS_ID)
    assert (message.payload.read(), message.sha256, message.pointer, message.stored) == (b"hello", None, None, None)


def test_a_payload_that_looks_like_an_envelope_stays_a_payload(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    inner = json.dumps({"Type": "Notification", "TopicArn": TOPIC, "MessageId": "x", "Message": "inner"})
    publisher.publish(inner, message_id="outer")
    for name, delivered in DELIVERIES.items():
        message = dereferencer.message(delivered(sns.published[0]))
        assert (message.id, message.payload.text()) == ("outer", inner), name


def test_an_envelope_is_opened_although_a_dead_letter_queue_added_attributes(
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
    ids=lambda body: body[:60],
)
def test_a_body_that_only_resembles_an_envelope_is_a_payload(body: str, dereferencer: Dereferencer) -> None:
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
    ids=lambda record: str(record)[:80],
)
def test_a_record_of_no_known_shape_is_malformed(record: Any, dereferencer: Dereferencer) -> None:
    with pytest.raises(MalformedMessage) as caught:
        dereferencer.message(record)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
bodies = st.one_of(
    st.text(max_size=60),
    json_values.map(json.dumps),
    st.builds(Pointer, st.text(max_size=20), st.text(max_size=20)).map(Pointer.body),
)
attributes = st.dictionaries(
    st.sampled_from(["ExtendedPayloadSize", "SQSLargePayloadSize", "ClaimCheck", "kind"]),
    st.one_of(
        json_values,
        st.fixed_dictionaries(
            {
                "dataType": st.sampled_from(["String", "Number", "Binary"]) | json_values,
                "stringValue": st.sampled_from(["3", '{"id":"m"}', "[" * 50_000]) | json_values,
            }
        ),
    ),
)
hostile = st.one_of(
    json_values,
    st.fixed_dictionaries({"body": bodies | json_values, "messageAttributes": attributes, "messageId": json_values}),
    st.fixed_dictionaries({"Sns": st.fixed_dictionaries({"Message": bodies, "MessageAttributes": attributes})}),
    st.fixed_dictionaries({"messageId": st.just("m"), "body": bodies, "messageAttributes": attributes}),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=hostile)
def test_no_record_makes_another_error(record: Any, dereferencer: Dereferencer) -> None:
    try:
        message = dereferencer.message(record)
    except (MalformedMessage, UntrustedStore):
        return
    assert message.size >= 0
    assert message.pointer is None or (message.pointer.bucket == "payloads-one")


def test_senders_attributes_keep_their_types(dereferencer: Dereferencer) -> None:
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


def test_what_a_store_must_look_like() -> None:
    settings = {"bucket": "payloads-one", "prefix": "payloads/", "owner": OWNER, "region": "eu-west-1"}
    assert Store.from_dict(settings) == Store("payloads-one", "payloads/", OWNER, "eu-west-1")
    assert Store.from_dict(settings).to_dict() == settings
    stored = Store.from_dict(settings).object_of("m-1")
    assert stored == S3Object("payloads-one", "payloads/m-1", OWNER, "eu-west-1")
    assert stored.pointer == Pointer("payloads-one", "payloads/m-1")
    place = {"bucket": "payloads-one", "key": "payloads/m-1", "owner": OWNER, "region": "eu-west-1"}
    assert stored.to_dict() == place
    assert stored._replace(version_id="v-1").to_dict() == {**place, "version_id": "v-1"}
    for name, bad in {"bucket": "B", "prefix": "payloads", "owner": "1111", "region": "here"}.items():
        with pytest.raises(ValueError, match=rf"store {name} = '{bad}'"):
            Store.from_dict(settings | {name: bad})
    with pytest.raises(ValueError, match=r"missing \['owner'\], unknown \['account'\]"):
        Store.from_dict({"account" if name == "owner" else name: value for name, value in settings.items()})
    with pytest.raises(ValueError, match="store owner = 111111111111"):
        Store.from_dict(settings | {"owner": 111111111111})


def test_what_was_handed_on_is_read_as_its_message_would_be(
    dereferencer: Dereferencer, publisher: Publisher, store: Store
) -> None:
    published = publisher.publish(b"x" * 300_000, message_id="handed")
    assert published.pointer
    payload = dereferencer.payload(published.pointer, size=300_000, message_id="handed", sha256=published.sha256)
    assert payload.read() == b"x" * 300_000
    for wrong in ({"size": 300_001}, {"sha256": "0" * 64}):
        declared: Any = {"size": 300_000, "sha256": published.sha256, **wrong}
        with pytest.raises(PayloadCorrupt):
            dereferencer.payload(published.pointer, message_id="handed", **declared).verify()


def test_what_was_handed_on_is_believed_no_more_than_a_message(dereferencer: Dereferencer, fake_s3: FakeS3) -> None:
    inside = Pointer("payloads-one", "payloads/k")
    with pytest.raises(UntrustedStore):
        dereferencer.payload(Pointer("payloads-one", "secrets/k"), size=1, message_id="m")
    for spoiled in ({"size": -1}, {"size": "1"}, {"message_id": "a/b"}, {"message_id": None}, {"sha256": "f00"}):
        handed: Any = {"size": 1, "message_id": "m", **spoiled}
        with pytest.raises(MalformedMessage, match="hand-off"):
            dereferencer.payload(inside, **handed)
    assert fake_s3.requests == []
