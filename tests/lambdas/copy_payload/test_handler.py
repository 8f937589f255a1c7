"""The copy function."""

from dataclasses import replace
from types import ModuleType, SimpleNamespace

import boto3
import pytest

from claim_check import MalformedMessage, UntrustedStore
from copy_payload.settings import Settings
from tests.lambdas.conftest import (
    REPLICATED,
    STAGING,
    STORE,
    Listen,
    Load,
    assert_stale_replica_is_counted,
    store_outdated_replica,
)
from tests.lambdas.copy_payload.test_copy import BODY, LANDING, handoff_from

SETTINGS = Settings(trusted_stores=(STORE, STAGING), landing_store=LANDING)


@pytest.fixture
def copy(load: Load) -> ModuleType:
    boto3.client("s3").create_bucket(Bucket=LANDING.bucket)
    return load(SETTINGS)


def test_handler_returns_the_landed_payload(copy: ModuleType, context: SimpleNamespace) -> None:
    handoff = handoff_from(STORE)
    assert copy.handler(handoff.to_input(), context) == {
        "bucket": "landing-bucket",
        "key": "landed/scan-1",
        "owner": LANDING.owner,
        "region": "us-east-1",
        "bytes": len(BODY),
        "sha256": handoff.sha256,
        "crc64nvme": None,
        "crc32": None,
    }


def test_payload_is_not_read_by_the_function(copy: ModuleType, context: SimpleNamespace) -> None:
    event, calls = handoff_from(STORE).to_input(), []
    for client in (copy.s3, copy.dereferencer._clients.client("us-east-1")):
        client.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    copy.handler(event, context)
    assert calls == ["HeadObject", "CopyObject"]


def test_errors_are_raised_counted_and_logged(copy: ModuleType, context: SimpleNamespace, listen: Listen) -> None:
    event, telemetry = handoff_from(STORE).to_input(), listen(copy)
    with pytest.raises(UntrustedStore):
        copy.handler(event | {"pointer": event["pointer"] | {"key": "outbox/scan-1"}}, context)
    with pytest.raises(MalformedMessage):
        copy.handler(event | {"summary": {}}, context)
    assert [line["exception_name"] for line in telemetry.lines()] == ["UntrustedStore", "MalformedMessage"]
    metrics = telemetry.metrics()
    assert (metrics["UntrustedStore"], metrics["MalformedMessage"]) == ([1], [1])
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket=LANDING.bucket)


def test_stale_replica_is_counted(load: Load, context: SimpleNamespace, listen: Listen) -> None:
    boto3.client("s3").create_bucket(Bucket=LANDING.bucket)
    handoff = handoff_from(STORE, "new")
    store_outdated_replica("new", len(BODY))
    copy = load(replace(SETTINGS, trusted_stores=(REPLICATED,)))
    telemetry = listen(copy)
    landed = copy.handler(handoff.to_input(), context)
    assert boto3.client("s3").get_object(Bucket=landed["bucket"], Key=landed["key"])["Body"].read() == BODY
    assert_stale_replica_is_counted(telemetry, "new")
