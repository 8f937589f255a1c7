"""What users of other clients suffer, one test for each; the library's README points here."""

from __future__ import annotations

import base64
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

import claim_check
from claim_check import (
    Attribute,
    Dereferencer,
    Entry,
    PayloadCorrupt,
    PayloadMissing,
    PayloadUnavailable,
    Pointer,
    Publisher,
    Receipt,
    Store,
    UntrustedStore,
)
from claim_check.s3.client import MIB
from tests.claim_check.conftest import TOPIC
from tests.claim_check.deliveries import DELIVERIES, ENVELOPED, NotedSns
from tests.claim_check.fake_s3 import FakeS3

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client


def test_pain_1_a_missing_object_fails_its_own_message_alone(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, fake_s3: FakeS3
) -> None:
    for number in range(3):
        publisher.publish(b"\x00", message_id=f"m-{number}")
    del fake_s3.objects["payloads-one", "payloads/m-1"]
    read: list[bytes | type[Exception]] = []
    for outcome in dereferencer.outcomes(map(DELIVERIES["SQS event, raw"], sns.published)):
        assert outcome.message
        try:
            read.append(outcome.message.payload.read())
        except PayloadMissing as error:
            read.append(type(error))
    assert read == [b"\x00", PayloadMissing, b"\x00"]


def test_pain_2_nothing_is_deleted_so_that_every_subscriber_reads(
    publisher: Publisher, sns: NotedSns, store: Store, s3: S3Client, fake_s3: FakeS3
) -> None:
    publisher.publish(b"\x00", message_id="m-1")
    for _ in ("one subscriber", "another", "a redelivery"):
        message = Dereferencer(stores=[store], s3=s3).message(DELIVERIES["SNS event"](sns.published[0]))
        assert message.payload.read() == b"\x00"
    assert fake_s3.asked("DELETE") == []


def test_pain_3_a_topic_of_1_mib_is_used_to_its_last_byte(s3: S3Client, store: Store, sns: NotedSns) -> None:
    publisher = Publisher(topic_arn=TOPIC, store=store, threshold=1_048_576, sns=sns.client(), s3=s3)
    ours = len('ClaimCheckString{"id":"m-1","sha256":""}') + 64
    assert publisher.publish("x" * (1_048_576 - ours), message_id="m-1").pointer is None
    assert publisher.publish("x" * (1_048_577 - ours), message_id="m-1").pointer is not None


@pytest.mark.parametrize("delivery", ENVELOPED)
def test_pain_4_a_delivery_that_is_not_raw_is_resolved(
    delivery: str, publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    publisher.publish(b"\x00", message_id="m-1")
    assert dereferencer.message(DELIVERIES[delivery](sns.published[0])).payload.read() == b"\x00"


class Bottomless:
    """Stands in for S3: takes everything, keeps nothing."""

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"UploadId": "u"}

    def upload_part(self, **request: Any) -> dict[str, str]:
        return {"ETag": str(len(request["Body"]))}

    def complete_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {}


def test_pain_5_text_with_one_emoji_costs_a_few_parts_of_memory(store: Store, sns: NotedSns) -> None:
    text = "x" * (48 * MIB) + "😀"  # four bytes a character, in Python
    publisher = Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=cast("Any", Bottomless()))
    tracemalloc.start()
    try:
        published = publisher.publish(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert published.size == 48 * MIB + 4
    assert peak < 25 * MIB, "beyond the caller's own text; AWS's clients take 5 times the payload"


def test_pain_6_a_function_reads_its_event_without_any_client_to_wrap(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer
) -> None:
    publisher.publish("inline", message_id="m-0")
    publisher.publish(b"\x00", message_id="m-1")
    for delivery in ("SQS event, raw", "SQS event, enveloped", "SNS event"):
        event = {"Records": [DELIVERIES[delivery](published) for published in sns.published]}
        messages = [outcome.message for outcome in dereferencer.outcomes(event["Records"])]
        assert [message and message.payload.read() for message in messages] == [b"inline", b"\x00"]


def test_pain_7_clients_are_the_callers_and_no_acl_is_set(
    store: Store, sns: NotedSns, s3: S3Client, fake_s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a client was made although one was given")

    monkeypatch.setattr(boto3, "client", forbidden)
    Publisher(topic_arn=TOPIC, store=store, sns=sns.client(), s3=s3).publish(b"\x00", message_id="m-1")
    Dereferencer(stores=[store], s3=s3).message(DELIVERIES["SNS event"](sns.published[0])).payload.read()
    # Encryption and ownership are the bucket's business: the request says nothing of them, so its defaults hold.
    sent = {name for headers in fake_s3.headers for name in headers}
    assert not [name for name in sent if "acl" in name or "server-side-encryption" in name]


def test_pain_8_a_batch_is_published_and_fills_its_total(publisher: Publisher, sns: NotedSns) -> None:
    outcomes = publisher.publish_batch([Entry(payload="x" * 60_000) for _ in range(8)])
    assert [outcome.error for outcome in outcomes] == [None] * 8
    assert [len(batch) for batch in sns.batches] == [4, 4]


def test_pain_9_a_forged_pointer_reads_nothing_and_other_bytes_are_noticed(
    publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer, store: Store, s3: S3Client, fake_s3: FakeS3
) -> None:
    publisher.publish(b"\x00secret", message_id="m-1")
    record = DELIVERIES["SQS API, raw"](sns.published[0])
    fake_s3.requests.clear()
    with pytest.raises(UntrustedStore):
        dereferencer.message({**record, "Body": Pointer("payroll", "everything").body()})
    assert fake_s3.requests == []
    fake_s3.put("payloads-one", "payloads/m-1", b"\x00forged")
    with pytest.raises(PayloadCorrupt):
        dereferencer.message(record).payload.read()
    lookalike = Store(store.bucket, store.prefix, "999999999999", store.region)
    with pytest.raises(PayloadUnavailable, match="another owner"):
        Dereferencer(stores=[lookalike], s3=s3).message(record).payload.read()


def test_pain_10_importing_patches_nothing() -> None:
    code = """
import boto3, botocore.client
before = (boto3.Session, boto3.session.Session, boto3.client, botocore.client.BaseClient._make_api_call)
import claim_check, claim_check.https
assert before == (boto3.Session, boto3.session.Session, boto3.client, botocore.client.BaseClient._make_api_call)
"""
    subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(claim_check.__file__).parents[1])},
        check=True,
        timeout=60,
    )


def test_pain_10_binary_attributes_arrive(publisher: Publisher, sns: NotedSns, dereferencer: Dereferencer) -> None:
    publisher.publish("x", attributes={"binary": b"\x00\xff"})
    assert sns.published[0]["MessageAttributes"]["binary"]["BinaryValue"] == b"\x00\xff"
    for delivered in DELIVERIES.values():
        message = dereferencer.message(delivered(sns.published[0]))
        assert message.attributes["binary"] == Attribute("Binary", b"\x00\xff")


def test_pain_10_a_failed_publish_leaves_no_orphan(store: Store, s3: S3Client, fake_s3: FakeS3) -> None:
    sns = boto3.client("sns", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(sns) as stub:
        stub.add_client_error("publish", "AuthorizationError", http_status_code=403)
        with pytest.raises(ClientError):
            Publisher(topic_arn=TOPIC, store=store, sns=sns, s3=s3).publish(b"\x00")
    assert len(fake_s3.asked("PUT")) == 1
    assert fake_s3.objects == {}


def test_pain_10_the_same_arguments_can_be_sent_again(publisher: Publisher, sns: NotedSns) -> None:
    attributes: dict[str, Any] = {"kind": "scan"}
    arguments: dict[str, Any] = {"message_id": "m-1", "attributes": attributes}
    publisher.publish(b"\x00", **arguments)
    publisher.publish(b"\x00", **arguments)
    assert attributes == {"kind": "scan"}
    assert sns.published[0] == sns.published[1]


def test_pain_10_a_handle_needs_no_setting_to_delete_by() -> None:
    handle = base64.b64encode(b"\xfb\xff" * 20).decode().replace("+", "-")
    embedded = f"-..s3BucketName..-b-..s3BucketName..--..s3Key..-k-..s3Key..-{handle}"
    assert "-" in handle
    assert [Receipt.parse(one).handle for one in (embedded, handle)] == [handle, handle]


def test_pain_11_a_retry_on_a_fifo_topic_is_the_same_message(s3: S3Client, store: Store, fake_s3: FakeS3) -> None:
    sns = NotedSns()
    publisher = Publisher(topic_arn=f"{TOPIC}.fifo", store=store, sns=sns.client(), s3=s3)
    for _ in range(2):
        publisher.publish(b"\x00", message_id="order-1", group_id="orders")
    first, second = sns.published
    assert first == second
    assert first["MessageDeduplicationId"] == "order-1"
    assert len(fake_s3.objects) == 1
