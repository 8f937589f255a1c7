"""Errors of services: which are retried, and which stay until their cause is repaired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
)
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker
from urllib3.exceptions import ProtocolError

from claim_check import (
    Dereferencer,
    Disposition,
    PayloadDenied,
    PayloadMissing,
    PayloadUnavailable,
    Publisher,
    disposition,
)
from claim_check.service_errors import is_service_error, refusal
from tests.lambdas.claim_check.deliveries import pointing
from tests.lambdas.claim_check.fake_s3 import FakeS3

DENIED = [
    (403, "AccessDenied", "the caller lacks permission"),
    (403, "AllAccessDisabled", "the caller lacks permission"),
    (403, "InvalidAccessKeyId", "the caller's credentials are not valid"),
    (403, "SignatureDoesNotMatch", "the caller's credentials are not valid"),
    (400, "InvalidToken", "the caller's credentials are not valid"),
    (404, "NoSuchBucket", "the bucket, topic or queue does not exist"),
    (301, "PermanentRedirect", "the bucket, topic or queue does not exist"),
    (400, "KMS.DisabledException", "the encryption key is disabled"),
    (403, "InvalidObjectState", "the object is archived or deleted"),
    (405, "MethodNotAllowed", "the object is archived or deleted"),
    (418, "SomethingNew", "the same request is rejected again"),
]
RETRIED = [(503, "SlowDown"), (500, "InternalError"), (400, "RequestTimeout"), (403, "RequestTimeTooSkewed")]
RETRIED += [
    (404, "NoSuchUpload"),
    (400, "ExpiredToken"),
    (400, "ThrottlingException"),
    (409, "OperationAborted"),
    (429, "SomethingNew"),
]


def client_error(code: str, status: int | None = None) -> ClientError:
    response: Any = {"Error": {"Code": code}}
    return ClientError(response | ({"ResponseMetadata": {"HTTPStatusCode": status}} if status else {}), "GetObject")


@pytest.mark.parametrize(("status", "code", "reason"), DENIED)
def test_refusal_of_s3_is_permanent(
    status: int, code: str, reason: str, dereferencer: Dereferencer, publisher: Publisher, fake_s3: FakeS3
) -> None:
    payload = dereferencer.message(pointing("payloads-one", "payloads/k")).payload
    calls: dict[str, Callable[[], object]] = {
        "GET": payload.read,
        "PUT": lambda: publisher.publish(b"\x00", message_id="k"),
    }
    for method, call in calls.items():
        for each in (method, "HEAD"):  # botocore looks up the Region for a redirect by HeadBucket
            fake_s3.fail(each, status, code, times=9)
        with pytest.raises(PayloadDenied, match=f"S3 returned {code}; {reason}") as caught:
            call()
        fake_s3.failures.clear()
        assert (caught.value.permanent, caught.value.repairable) == (True, True)
        assert disposition(caught.value) is Disposition.DEAD_LETTER
        assert isinstance(caught.value.__cause__, ClientError)
        assert caught.value.pointer == ("payloads-one", "payloads/k")


@pytest.mark.parametrize(("status", "code"), RETRIED)
def test_failure_of_s3_is_retried(status: int, code: str, dereferencer: Dereferencer, fake_s3: FakeS3) -> None:
    payload = dereferencer.message(pointing("payloads-one", "payloads/k")).payload
    fake_s3.fail("GET", status, code, times=9)
    with pytest.raises(PayloadUnavailable, match=f"S3 returned {code}") as caught:
        payload.read()
    assert (type(caught.value), disposition(caught.value)) == (PayloadUnavailable, Disposition.RETRY)


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, PayloadDenied), (404, PayloadMissing), (400, PayloadUnavailable), (503, PayloadUnavailable)],
)
def test_head_without_a_body_is_decided_by_its_status(
    status: int, error: type[Exception], dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    fake_s3.fail("HEAD", status, "not in the response", times=9)
    with pytest.raises(error) as caught:
        dereferencer.message(pointing("payloads-one", "payloads/k")).payload.verify()
    assert type(caught.value) is error


def test_denied_access_names_owner_and_missing_object(dereferencer: Dereferencer, fake_s3: FakeS3) -> None:
    payload = dereferencer.message(pointing("payloads-one", "payloads/k")).payload
    fake_s3.fail("GET", 403, "AccessDenied")
    with pytest.raises(PayloadDenied, match=r"the caller lacks permission, or the bucket has another owner .* missing"):
        payload.read()
    fake_s3.fail("GET", 404, "NoSuchBucket")
    with pytest.raises(
        PayloadDenied,
        match=r"NoSuchBucket; the bucket, topic or queue does not exist, or is in another Region \(",
    ):
        payload.read()


def test_code_decides_without_a_status() -> None:
    assert refusal(client_error("AccessDenied")) == "the caller lacks permission"
    assert refusal(client_error("SlowDown")) is None
    assert refusal(client_error("SomethingNew")) is None


@pytest.mark.parametrize(("status", "is_refused"), [(399, False), (400, True), (499, True), (500, False), (408, False)])
def test_unknown_code_is_decided_by_its_status(status: int, is_refused: bool) -> None:
    assert (refusal(client_error("SomethingNew", status)) is not None) is is_refused
    assert refusal(client_error("KMSThrottling", status)) is None


def test_every_retry_of_botocore_is_a_retry() -> None:
    lists: list[Any] = [ThrottledRetryableChecker, TransientRetryableChecker]
    codes = lists[0]._THROTTLED_ERROR_CODES + lists[1]._TRANSIENT_ERROR_CODES
    unknown = [code for code in codes if refusal(client_error(code, 400))]
    assert unknown == ["TransactionInProgressException"]  # DynamoDB's


@pytest.mark.parametrize(
    ("error", "is_refused"),
    [
        (ParamValidationError(report="x"), True),
        (NoRegionError(), True),
        (NoCredentialsError(), False),
        (EndpointConnectionError(endpoint_url="x"), False),
        (ConnectTimeoutError(endpoint_url="x"), False),
        (ProtocolError("x"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_configuration_errors_are_refusals(error: Exception, is_refused: bool) -> None:
    assert is_service_error(error)
    assert (refusal(error) is not None) is is_refused


def test_error_of_the_application_is_no_service_error() -> None:
    assert not is_service_error(ValueError("x"))
