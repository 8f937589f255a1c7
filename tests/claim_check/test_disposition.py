"""What becomes of a message that failed."""

from __future__ import annotations

import json

import pytest

from claim_check import (
    ClaimCheckError,
    Disposition,
    MalformedMessage,
    PayloadMissing,
    PayloadUnavailable,
    Pointer,
    SnsUnavailable,
    UntrustedStore,
    disposition,
)


@pytest.mark.parametrize("choice", Disposition)
def test_a_missing_payload_is_the_subscribers_choice(choice: Disposition) -> None:
    assert disposition(PayloadMissing("gone"), missing=choice) is choice


def test_without_a_choice_it_is_dead_lettered() -> None:
    assert disposition(PayloadMissing("gone")) is Disposition.DEAD_LETTER


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MalformedMessage("x"), Disposition.DEAD_LETTER),
        (UntrustedStore("x"), Disposition.DEAD_LETTER),
        (PayloadUnavailable("x"), Disposition.RETRY),
        (SnsUnavailable("x"), Disposition.RETRY),
        (ValueError("of the application"), Disposition.RETRY),
    ],
)
def test_everything_else_goes_by_whether_a_retry_can_help(error: Exception, expected: Disposition) -> None:
    assert disposition(error, missing=Disposition.DROP) is expected


def test_a_record_says_which_message_and_why_and_is_json() -> None:
    error = PayloadMissing("there is no such object", message_id="m-1", pointer=Pointer("payloads-one", "payloads/m-1"))
    assert json.loads(json.dumps(error.record())) == {
        "error": "PayloadMissing",
        "problem": "there is no such object (message 'm-1', payload 's3://payloads-one/payloads/m-1')",
        "message_id": "m-1",
        "bucket": "payloads-one",
        "key": "payloads/m-1",
    }
    assert ClaimCheckError("x").record() == {
        "error": "ClaimCheckError",
        "problem": "x",
        "message_id": None,
        "bucket": None,
        "key": None,
    }


def test_a_disposition_can_come_from_a_setting() -> None:
    assert [Disposition(value) for value in ("retry", "dead-letter", "drop")] == list(Disposition)
