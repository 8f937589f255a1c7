"""The function that lands payloads: S3 copies what was handed on, and what is not right is not copied, or said."""

import hashlib
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from claim_check import MalformedMessage, PayloadCorrupt, PayloadMissing, UntrustedStore
from tests.lambdas.conftest import STAGING_STORE, STORE, SUBSCRIBER

LANDING = {"bucket": "landing-bucket", "prefix": "landed/", "owner": SUBSCRIBER, "region": "us-east-1"}
BODY = b"scan" * 100_000


@pytest.fixture
def land(load: Callable[..., ModuleType]) -> ModuleType:
    boto3.client("s3").create_bucket(Bucket=LANDING["bucket"])
    return load("copy_payload", TRUSTED_STORES=json.dumps([STORE, STAGING_STORE]), LANDING_STORE=json.dumps(LANDING))


def handed(message_id: str = "scan-1", *, bucket: str = STORE["bucket"], **more: Any) -> dict[str, Any]:
    """An execution's input, and its payload where it points."""
    key = f"{'payloads' if bucket == STORE['bucket'] else 'inline'}/{message_id}"
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=BODY)
    return {
        "message_id": message_id,
        "pointer": {"bucket": bucket, "key": key, "owner": SUBSCRIBER, "region": "us-east-1"},
        "summary": {"bytes": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest(), "subject": None, "attributes": {}},
        **more,
    }


@pytest.mark.parametrize("bucket", [STORE["bucket"], STAGING_STORE["bucket"]])
def test_a_payload_is_landed_by_message_id_however_often(
    land: ModuleType, context: SimpleNamespace, bucket: str
) -> None:
    event = handed(bucket=bucket)
    for _ in range(2):
        assert land.handler(event, context) == {
            "bucket": LANDING["bucket"],
            "key": "landed/scan-1",
            "owner": SUBSCRIBER,
            "region": "us-east-1",
            "bytes": len(BODY),
            "sha256": hashlib.sha256(BODY).hexdigest(),
        }
    assert boto3.client("s3").get_object(Bucket=LANDING["bucket"], Key="landed/scan-1")["Body"].read() == BODY


def test_no_byte_passes_through_the_function(
    land: ModuleType, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, calls = handed(), []
    land.s3.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    reading = land.dereferencer._client(
        land.settings.landing_store.region
    )  # the client of the Region that all three stores are in
    reading.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    land.handler(event, context)
    assert calls == ["HeadObject", "CopyObject"]


def test_a_payload_that_is_gone_or_another_is_said_for_good(land: ModuleType, context: SimpleNamespace) -> None:
    event = handed()
    boto3.client("s3").put_object(Bucket=STORE["bucket"], Key="payloads/scan-1", Body=BODY + b"!")
    with pytest.raises(PayloadCorrupt, match="400001 bytes, the message declares 400000"):
        land.handler(event, context)
    boto3.client("s3").delete_object(Bucket=STORE["bucket"], Key="payloads/scan-1")
    with pytest.raises(PayloadMissing, match="the object does not exist"):
        land.handler(event, context)
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=LANDING["bucket"])


def test_an_input_that_no_handover_makes_is_refused(land: ModuleType, context: SimpleNamespace) -> None:
    sound = handed()
    for spoiled, error in (
        ({"pointer": sound["pointer"] | {"bucket": "a-stranger"}}, UntrustedStore),
        ({"pointer": sound["pointer"] | {"key": "outbox/scan-1"}}, UntrustedStore),
        ({"pointer": sound["pointer"] | {"bucket": 7}}, MalformedMessage),
        ({"pointer": None}, MalformedMessage),
        ({"summary": {}}, MalformedMessage),
        ({"summary": sound["summary"] | {"bytes": "400000"}}, MalformedMessage),
        ({"summary": sound["summary"] | {"sha256": None}}, MalformedMessage),
        ({"summary": sound["summary"] | {"bytes": -1}}, MalformedMessage),
        ({"summary": sound["summary"] | {"sha256": "f00"}}, MalformedMessage),
        ({"message_id": "../scan-1"}, MalformedMessage),
        ({"message_id": None}, MalformedMessage),
    ):
        with pytest.raises(error):
            land.handler({**sound, **spoiled}, context)
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=LANDING["bucket"])
