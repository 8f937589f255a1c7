"""The copy function."""

import hashlib
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import boto3
import pytest

from claim_check import MalformedMessage, PayloadCorrupt, PayloadMissing, Store, UntrustedStore
from copy_payload.settings import Settings
from shared.handoff import HandOff
from tests.lambdas.conftest import (
    ACCOUNT,
    REPLICATED,
    STAGING,
    STORE,
    Listen,
    Load,
    assert_stale_replica_is_counted,
    store_outdated_replica,
)

LANDING = Store("landing-bucket", "landed/", ACCOUNT, "us-east-1")
BODY = b"scan" * 100_000
SETTINGS = Settings(trusted_stores=(STORE, STAGING), landing_store=LANDING)


def handoff_from(store: Store, message_id: str = "scan-1") -> HandOff:
    """Store a payload, and return its hand-off."""
    stored = store.object_of(message_id)
    boto3.client("s3").put_object(Bucket=stored.bucket, Key=stored.key, Body=BODY)
    return HandOff(message_id=message_id, stored=stored, bytes=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())


@pytest.fixture
def copy(load: Load) -> ModuleType:
    boto3.client("s3").create_bucket(Bucket=LANDING.bucket)
    return load(SETTINGS)


@pytest.mark.parametrize("store", [STORE, STAGING], ids=["offloaded", "staged"])
def test_copy_is_idempotent(copy: ModuleType, context: SimpleNamespace, store: Store) -> None:
    handoff = handoff_from(store)
    for _ in range(2):
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
        assert boto3.client("s3").get_object(Bucket="landing-bucket", Key="landed/scan-1")["Body"].read() == BODY


def test_changed_or_missing_payload_is_not_copied(copy: ModuleType, context: SimpleNamespace) -> None:
    s3, event = boto3.client("s3"), handoff_from(STORE).to_input()
    s3.put_object(Bucket=STORE.bucket, Key="payloads/scan-1", Body=BODY + b"!")
    with pytest.raises(PayloadCorrupt, match="400001 bytes, the message declares 400000"):
        copy.handler(event, context)
    s3.delete_object(Bucket=STORE.bucket, Key="payloads/scan-1")
    with pytest.raises(PayloadMissing, match="the object does not exist"):
        copy.handler(event, context)
    assert "Contents" not in s3.list_objects_v2(Bucket=LANDING.bucket)


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
