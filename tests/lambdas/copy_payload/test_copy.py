"""The copy of a payload in the landing bucket."""

import hashlib
from collections.abc import Callable

import boto3
import pytest

from claim_check import Dereferencer, PayloadCorrupt, PayloadMissing, S3Object, Store, s3_client
from copy_payload.copy import copy_payload
from shared.handoff import HandOff
from tests.lambdas.conftest import ACCOUNT, STAGING, STORE

LANDING = Store("landing-bucket", "landed/", ACCOUNT, "us-east-1")
BODY = b"scan" * 100_000


def handoff_from(store: Store, message_id: str = "scan-1") -> HandOff:
    """Store a payload, and return its hand-off."""
    stored = store.object_of(message_id)
    boto3.client("s3").put_object(Bucket=stored.bucket, Key=stored.key, Body=BODY)
    return HandOff(message_id=message_id, stored=stored, bytes=len(BODY), sha256=hashlib.sha256(BODY).hexdigest())


@pytest.fixture
def copy(aws: None) -> Callable[[HandOff], S3Object]:
    boto3.client("s3").create_bucket(Bucket=LANDING.bucket)
    dereferencer, s3 = Dereferencer(stores=[STORE, STAGING]), s3_client("us-east-1")
    return lambda handoff: copy_payload(handoff, dereferencer=dereferencer, landing=LANDING, s3=s3)


@pytest.mark.parametrize("store", [STORE, STAGING], ids=["offloaded", "staged"])
def test_copy_is_idempotent(copy: Callable[[HandOff], S3Object], store: Store) -> None:
    handoff = handoff_from(store)
    for _ in range(2):
        landed = copy(handoff)
        assert landed == S3Object("landing-bucket", "landed/scan-1", ACCOUNT, "us-east-1")
        assert boto3.client("s3").get_object(Bucket=landed.bucket, Key=landed.key)["Body"].read() == BODY


def test_changed_or_missing_payload_is_not_copied(copy: Callable[[HandOff], S3Object]) -> None:
    s3, handoff = boto3.client("s3"), handoff_from(STORE)
    s3.put_object(Bucket=STORE.bucket, Key="payloads/scan-1", Body=BODY + b"!")
    with pytest.raises(PayloadCorrupt, match="400001 bytes, the message declares 400000"):
        copy(handoff)
    s3.delete_object(Bucket=STORE.bucket, Key="payloads/scan-1")
    with pytest.raises(PayloadMissing, match="the object does not exist"):
        copy(handoff)
    assert "Contents" not in s3.list_objects_v2(Bucket=LANDING.bucket)
