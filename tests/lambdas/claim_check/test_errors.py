"""Errors: the ids that they name, their attributes for operators, and the disposition of a message."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import claim_check
from claim_check import (
    ClaimCheckError,
    Dereferencer,
    Disposition,
    MalformedMessage,
    MessagingDenied,
    MessagingUnavailable,
    Payload,
    PayloadConflict,
    PayloadCorrupt,
    PayloadDenied,
    PayloadMissing,
    PayloadUnavailable,
    Pointer,
    Publisher,
    S3Object,
    UntrustedStore,
    disposition,
    error_classes,
)
from tests.lambdas.claim_check.deliveries import DELIVERIES, NotedSns
from tests.lambdas.claim_check.error_form import check_form
from tests.lambdas.claim_check.fake_s3 import OWNER, FakeS3, Zeros

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

LARGE = b"\x00" * 9_000_000
UPLOAD = S3Object("uploads-one", "outbox/a", OWNER, "eu-west-1")
TARGET = S3Object("landed-one", "x", OWNER, "eu-west-1")
STORED = Pointer("payloads-one", "payloads/m-1")
CLASSES = error_classes()


class World(NamedTuple):
    publisher: Publisher
    dereferencer: Dereferencer
    sns: NotedSns
    fake: FakeS3
    s3: S3Client

    def publish(self, payload: bytes = b"\x00") -> object:
        return self.publisher.publish(payload, message_id="m-1")

    def upload(self) -> object:
        self.fake.put(UPLOAD.bucket, UPLOAD.key, b"abc")
        return self.publisher.publish_object(UPLOAD, size=3, message_id="m-1")

    def received(self) -> Payload:
        self.publish()
        return self.dereferencer.message(DELIVERIES["SNS event"](self.sns.published[0])).payload

    def replace(self, data: bytes) -> None:
        self.fake.put(*STORED, data)

    def fail(self, method: str, on: str = "") -> None:
        self.fake.fail(method, 501, "NotImplemented", on=on)

    def occupy(self) -> None:
        self.fake.fail("PUT", 409, "ConditionalRequestConflict", times=9)

    def copy(self) -> object:
        return self.received().copy_to(TARGET, s3=self.s3)

    def copy_with_other_checksum(self) -> object:
        size = 6 * 2**30
        self.fake.objects[STORED] = self.fake.stored(Zeros(size), crc64nvme="AAAAAAAAAAE=")
        return self.dereferencer.payload(STORED, size=size, message_id="m-1").copy_to(TARGET, s3=self.s3)


@pytest.fixture
def world(
    publisher: Publisher,
    dereferencer: Dereferencer,
    sns: NotedSns,
    fake_s3: FakeS3,
    s3: S3Client,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    monkeypatch.setattr("claim_check.publishing.offload._PAUSE_SECONDS", 0)
    return World(publisher, dereferencer, sns, fake_s3, s3)


@pytest.mark.parametrize(
    ("error", "pointer", "call"),
    [
        (PayloadConflict, STORED, lambda w: [w.replace(b"other"), w.publish()]),
        (PayloadConflict, STORED, lambda w: [w.replace(b"other"), w.upload()]),
        (PayloadMissing, UPLOAD.pointer, lambda w: w.publisher.publish_object(UPLOAD, size=3, message_id="m-1")),
        (PayloadUnavailable, UPLOAD.pointer, lambda w: [w.fail("PUT"), w.upload()]),
        (PayloadUnavailable, STORED, lambda w: [w.upload(), w.fail("HEAD"), w.upload()]),
        (PayloadUnavailable, STORED, lambda w: [w.fail("PUT"), w.publish()]),
        (PayloadUnavailable, STORED, lambda w: [w.fail("POST", "uploads"), w.publish(LARGE)]),
        (PayloadUnavailable, STORED, lambda w: [w.fail("PUT", "partNumber=1"), w.publish(LARGE)]),
        (PayloadUnavailable, STORED, lambda w: [w.fail("POST", "uploadId"), w.publish(LARGE)]),
        (PayloadUnavailable, STORED, lambda w: [w.occupy(), w.publish()]),
        (PayloadUnavailable, STORED, lambda w: [w.publish(), w.fail("HEAD"), w.publish()]),
        (PayloadUnavailable, STORED, lambda w: [w.replace(b"\x00"), w.fail("GET"), w.publish()]),
        (PayloadUnavailable, STORED, lambda w: [w.fail("HEAD"), w.copy()]),
        (PayloadUnavailable, STORED, lambda w: [w.fail("PUT", "landed-one"), w.copy()]),
        (PayloadCorrupt, None, lambda w: [payload := w.received(), w.replace(b"\x01"), payload.read()]),
        (PayloadCorrupt, STORED, lambda w: [payload := w.received(), w.replace(b"\x01\x02"), payload.read()]),
        (PayloadCorrupt, STORED, World.copy_with_other_checksum),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_error_names_message_and_object(
    error: type[ClaimCheckError], pointer: Pointer | None, call: Callable[[World], object], world: World
) -> None:
    with pytest.raises(error) as caught:
        call(world)
    assert (caught.value.message_id, caught.value.pointer) == ("m-1", pointer)


def test_error_text_and_record_have_the_ids() -> None:
    error = PayloadMissing("the object does not exist", message_id="m-1", pointer=STORED)
    assert json.loads(json.dumps(error.record())) == {
        "error": "PayloadMissing",
        "problem": "the object does not exist (message 'm-1', payload 's3://payloads-one/payloads/m-1')",
        "message_id": "m-1",
        "bucket": "payloads-one",
        "key": "payloads/m-1",
    }
    bare = {"error": "UntrustedStore", "problem": "x", "message_id": None, "bucket": None, "key": None}
    assert UntrustedStore("x").record() == bare
    assert str(UntrustedStore("x", message_id="m" * 101)) == f"x (message '{'m' * 100}')"


def test_error_form_rejects_mistakes() -> None:
    for text in ("The object is missing", "the object is MISSING", "it is not in s3", "two\nlines", "it is.", ""):
        with pytest.raises(AssertionError):
            check_form(text)


def test_all_error_classes_are_listed_and_exported() -> None:
    named = [value for value in vars(claim_check).values() if isinstance(value, type)]
    exported = {value for value in named if issubclass(value, ClaimCheckError)} - {ClaimCheckError}
    assert sorted(exported, key=lambda kind: kind.__name__) == CLASSES


def test_only_unavailable_services_are_transient() -> None:
    assert {kind.__name__ for kind in CLASSES if not kind.permanent} == {"PayloadUnavailable", "MessagingUnavailable"}
    assert {kind.__name__ for kind in CLASSES if kind.repairable} == {"PayloadDenied", "MessagingDenied"}


def test_hostile_messages_and_changed_payloads_are_alarms() -> None:
    alarms = {kind.__name__ for kind in CLASSES if kind.alarm}
    assert alarms == {"UntrustedStore", "MalformedMessage", "PayloadCorrupt"}


@pytest.mark.parametrize("kind", CLASSES)
def test_advice_is_one_sentence(kind: type[ClaimCheckError]) -> None:
    assert kind.advice[0].isupper()
    assert kind.advice.index(".") == len(kind.advice) - 1
    check_form(kind.advice[0].lower() + kind.advice[1:-1])


@pytest.mark.parametrize("choice", Disposition)
def test_disposition_of_missing_payload_is_chosen(choice: Disposition) -> None:
    assert disposition(PayloadMissing("gone"), missing=choice) is choice
    assert disposition(PayloadMissing("gone")) is Disposition.DEAD_LETTER


@pytest.mark.parametrize("choice", Disposition)
@pytest.mark.parametrize("kind", [PayloadDenied, MessagingDenied])
def test_disposition_of_refusal_is_chosen(choice: Disposition, kind: type[ClaimCheckError]) -> None:
    assert disposition(kind("x"), denied=choice) is choice
    assert disposition(kind("x"), missing=choice) is Disposition.DEAD_LETTER


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MalformedMessage("x"), Disposition.DEAD_LETTER),
        (UntrustedStore("x"), Disposition.DEAD_LETTER),
        (PayloadUnavailable("x"), Disposition.RETRY),
        (MessagingUnavailable("x"), Disposition.RETRY),
        (ValueError("of the application"), Disposition.RETRY),
    ],
)
def test_disposition_follows_permanence(error: Exception, expected: Disposition) -> None:
    assert disposition(error, missing=Disposition.DROP) is expected


def test_disposition_is_a_setting() -> None:
    values: list[Any] = ["retry", "dead-letter", "drop"]
    assert [Disposition(value) for value in values] == list(Disposition)
