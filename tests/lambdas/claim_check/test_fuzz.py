"""Some hundred inputs of fuzz.py, the same in every run."""

from __future__ import annotations

import pytest

from tests.lambdas.claim_check.fuzz import Checker, Watched, run


def test_hostile_input_is_rejected_safely() -> None:
    checker = run(500, derandomize=True)
    # Both rejected and accepted inputs were generated.
    assert {"MalformedMessage", "UntrustedStore", "PayloadMissing", "PayloadCorrupt", "verified", "read"} <= set(
        checker.results
    )
    assert checker.s3.requests == checker.results["PayloadMissing"] > 0


def test_watched_s3_fails_on_call_outside_the_store() -> None:
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


def test_checker_fails_on_other_error() -> None:
    checker = Checker()
    checker.s3.get_object = None  # type: ignore[method-assign,assignment]
    marker = {"ExtendedPayloadSize": {"dataType": "Number", "stringValue": "3"}}
    body = '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"payloads-one","s3Key":"payloads/k"}]'
    with pytest.raises(TypeError):
        checker.record({"body": body, "messageId": "m", "messageAttributes": marker})
