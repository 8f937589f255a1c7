"""Dereferencing: only stores of the subscriber are trusted."""

from __future__ import annotations

from typing import Any

import pytest

from claim_check import (
    Dereferencer,
    MalformedMessage,
    PayloadCorrupt,
    Pointer,
    Publisher,
    Store,
    UntrustedStore,
)
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns, pointing
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3


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
def test_untrusted_pointer_is_rejected_before_any_call(
    bucket: str, key: str, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    with pytest.raises(UntrustedStore, match=r"s3://payloads-one/payloads/") as caught:
        dereferencer.message(pointing(bucket, key))
    assert caught.value.permanent
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", Pointer(bucket, key))
    assert fake_s3.requests == []


def test_no_store_means_no_trust() -> None:
    with pytest.raises(UntrustedStore, match=r"\(none\)"):
        Dereferencer(stores=[]).message(pointing("payloads-one", "payloads/k"))


def test_error_lists_trusted_stores(store: Store) -> None:
    stores = [store, Store("payloads-two", "", OWNER, "us-east-1")]
    with pytest.raises(UntrustedStore, match=r"\(s3://payloads-one/payloads/, s3://payloads-two/\)"):
        Dereferencer(stores=stores).message(pointing("payloads-three", "k"))


def test_message_has_the_object_in_its_trusted_store(store: Store) -> None:
    other = Store("payloads-two", "", "222222222222", "us-east-1")
    dereferencer = Dereferencer(stores=[store, other])
    assert dereferencer.message(pointing("payloads-one", "payloads/a..b")).stored == store.object_of("a..b")
    assert dereferencer.message(pointing("payloads-two", "0b1c2d3e")).stored == other.object_of("0b1c2d3e")


def test_message_calls_no_service(publisher: Publisher, sns: NotedSns, store: Store, fake_s3: FakeS3) -> None:
    publisher.publish(b"\x00", message_id="m")
    fake_s3.requests.clear()
    message = Dereferencer(stores=[store], s3=fake_s3.client()).message(DELIVERIES["SNS event"](sns.published[0]))
    assert (message.size, message.pointer) == (1, Pointer("payloads-one", "payloads/m"))
    assert fake_s3.requests == []


def test_invalid_record_affects_no_other(publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
    publisher.publish("good", message_id="one")
    publisher.publish(b"\x00good", message_id="two")
    good = [DELIVERIES["SQS event, raw"](published) for published in sns.published]
    records = [good[0], {"body": None}, pointing("payloads-two", "k"), good[1]]
    outcomes = list(dereferencer.outcomes(records))
    assert [outcome.record for outcome in outcomes] == records
    assert [type(outcome.error) for outcome in outcomes] == [type(None), MalformedMessage, UntrustedStore, type(None)]
    assert [outcome.message and outcome.message.id for outcome in outcomes] == ["one", None, None, "two"]


def test_hand_off_is_read_as_its_message(dereferencer: Dereferencer, publisher: Publisher, store: Store) -> None:
    published = publisher.publish(b"x" * 300_000, message_id="handed")
    assert published.pointer
    payload = dereferencer.payload(published.pointer, size=300_000, message_id="handed", sha256=published.sha256)
    assert payload.read() == b"x" * 300_000
    for wrong in ({"size": 300_001}, {"sha256": "0" * 64}):
        declared: Any = {"size": 300_000, "sha256": published.sha256, **wrong}
        with pytest.raises(PayloadCorrupt):
            dereferencer.payload(published.pointer, message_id="handed", **declared).verify_by_reading()


def test_hand_off_is_validated_as_a_message(dereferencer: Dereferencer, fake_s3: FakeS3) -> None:
    inside = Pointer("payloads-one", "payloads/k")
    with pytest.raises(UntrustedStore):
        dereferencer.payload(Pointer("payloads-one", "secrets/k"), size=1, message_id="m")
    for invalid in ({"size": -1}, {"size": "1"}, {"message_id": "a/b"}, {"message_id": None}, {"sha256": "f00"}):
        members: Any = {"size": 1, "message_id": "m", **invalid}
        with pytest.raises(MalformedMessage, match="hand-off"):
            dereferencer.payload(inside, **members)
    assert fake_s3.requests == []
