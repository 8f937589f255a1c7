"""A few thousand of the inputs of fuzz.py, always the same ones."""

from __future__ import annotations

import pytest

from tests.lambdas.claim_check.fuzz import Checker, Watched, run


def test_no_input_makes_another_error_or_a_call_outside_the_store() -> None:
    checker = run(3_000, derandomize=True)
    # It reached both sides: what is refused, and what is read.
    assert {"MalformedMessage", "UntrustedStore", "PayloadMissing", "read"} <= set(checker.found)
    assert checker.s3.asked == checker.found["PayloadMissing"] > 0


def test_the_watch_would_notice_a_call_outside_the_store() -> None:
    good = {"Bucket": "payloads-one", "Key": "payloads/k", "ExpectedBucketOwner": "111111111111"}
    for wrong in (
        {"Bucket": "payloads-two"},
        {"Key": "k"},
        {"Key": "payloads/../k"},
        {"Key": "payloads/" + "k" * 1024},
        {"ExpectedBucketOwner": "222222222222"},
    ):
        with pytest.raises(AssertionError):
            Watched().get_object(**(good | wrong))


def test_the_checker_would_notice_another_error() -> None:
    checker = Checker()
    checker.s3.get_object = None  # type: ignore[method-assign,assignment]
    marker = {"ExtendedPayloadSize": {"dataType": "Number", "stringValue": "3"}}
    body = '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"payloads-one","s3Key":"payloads/k"}]'
    with pytest.raises(TypeError):
        checker.record({"body": body, "messageId": "m", "messageAttributes": marker})
