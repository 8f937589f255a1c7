"""Publishing to a queue of SQS without a topic, and receiving from it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from moto import mock_aws

from claim_check import (
    Dereferencer,
    Entry,
    InvalidMessage,
    MessagingDenied,
    MessagingUnavailable,
    Publisher,
    Store,
)
from tests.lambdas.claim_check.conftest import TOPIC

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient

URL = "https://sqs.eu-west-1.amazonaws.com/111111111111/jobs"
SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of b"abc"


def claim(message_id: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": f'{{"id":"{message_id}","sha256":"{SHA256}"}}'}


@pytest.fixture
def stubbed_sqs() -> Iterator[tuple[SQSClient, Stubber]]:
    client = boto3.client("sqs", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stub:
        yield client, stub


def test_message_of_queue_is_valid_for_boto(stubbed_sqs: tuple[SQSClient, Stubber], s3: S3Client, store: Store) -> None:
    attributes = {"kind": {"DataType": "String", "StringValue": "scan"}, "ClaimCheck": claim("m-1")}
    expected = {"QueueUrl": URL, "MessageBody": "abc", "MessageAttributes": attributes}
    stubbed_sqs[1].add_response("send_message", {"MessageId": "q-1"}, expected)
    publisher = Publisher(queue_url=URL, store=store, sqs=stubbed_sqs[0], s3=s3)
    published = publisher.publish("abc", message_id="m-1", attributes={"kind": "scan"})
    assert (published.message_id, published.service_message_id, published.pointer) == ("m-1", "q-1", None)
    assert (publisher.queue_url, publisher.topic_arn, publisher.fifo) == (URL, None, False)


@pytest.mark.parametrize("place", [{"queue_url": URL}, {"topic_arn": TOPIC}], ids=["queue", "topic"])
def test_response_without_an_id_is_unavailable(place: Any, s3: S3Client, store: Store) -> None:
    """SNS and SQS always return one: a proxy or another server responded."""
    client: Any = SimpleNamespace(publish=lambda **_: {}, send_message=lambda **_: {})
    with pytest.raises(MessagingUnavailable, match=r"the response is not S[NQ]S's: check the endpoint"):
        Publisher(**place, store=store, sns=client, sqs=client, s3=s3).publish("abc")


def test_batch_of_fifo_queue_is_valid_for_boto(
    stubbed_sqs: tuple[SQSClient, Stubber], s3: S3Client, store: Store
) -> None:
    sent = [
        {
            "Id": str(index),
            "MessageBody": "abc",
            "MessageAttributes": {"ClaimCheck": claim(f"m-{index}")},
            "MessageGroupId": "g",
            "MessageDeduplicationId": deduplication_id,
        }
        for index, deduplication_id in enumerate(["m-0", "d", "m-2"])
    ]
    response = {
        "Successful": [{"Id": "0", "MessageId": "q-0", "MD5OfMessageBody": "x"}],
        "Failed": [
            {"Id": "1", "Code": "InternalError", "SenderFault": False},
            {"Id": "2", "Code": "KmsDisabled", "SenderFault": True},
        ],
    }
    stubbed_sqs[1].add_response("send_message_batch", response, {"QueueUrl": URL + ".fifo", "Entries": sent})
    publisher = Publisher(queue_url=URL + ".fifo", store=store, sqs=stubbed_sqs[0], s3=s3)
    outcomes = publisher.publish_batch(
        Entry(payload="abc", message_id=f"m-{index}", group_id="g", deduplication_id="d" if index == 1 else None)
        for index in range(3)
    )
    assert publisher.fifo
    assert outcomes[0].published
    assert outcomes[0].published.service_message_id == "q-0"
    assert [type(outcome.error) for outcome in outcomes] == [type(None), MessagingUnavailable, MessagingDenied]


def test_message_of_queue_has_no_subject(stubbed_sqs: tuple[SQSClient, Stubber], s3: S3Client, store: Store) -> None:
    with pytest.raises(InvalidMessage, match="subject: a message of a queue has none"):
        Publisher(queue_url=URL, store=store, sqs=stubbed_sqs[0], s3=s3).publish("abc", subject="a scan")


@pytest.mark.parametrize(
    ("code", "status", "error", "text"),
    [
        ("InvalidMessageContents", 400, InvalidMessage, r"SQS rejected the message .* the queue's MaximumMessageSize"),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, MessagingDenied, "SQS returned AWS.SimpleQueueService.NonE"),
        ("AccessDenied", 403, MessagingDenied, "cannot send the message: SQS returned AccessDenied; the caller lacks"),
        ("RequestThrottled", 403, MessagingUnavailable, "cannot send the message: SQS returned RequestThrottled "),
    ],
)
def test_error_of_queue_is_the_librarys(
    code: str,
    status: int,
    error: type[Exception],
    text: str,
    stubbed_sqs: tuple[SQSClient, Stubber],
    s3: S3Client,
    store: Store,
) -> None:
    stubbed_sqs[1].add_client_error("send_message", code, http_status_code=status)
    with pytest.raises(error, match=text) as caught:
        Publisher(queue_url=URL, store=store, sqs=stubbed_sqs[0], s3=s3).publish("abc", message_id="m-1")
    assert type(caught.value) is error
    assert isinstance(caught.value.__cause__, ClientError)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (URL, "eu-west-1"),
        ("https://sqs.eusc-de-east-1.amazonaws.eu/111111111111/jobs.fifo", "eusc-de-east-1"),
        ("https://vpce-0a.sqs.us-east-1.vpce.amazonaws.com/111111111111/jobs", "us-east-1"),
        ("http://localhost:4566/000000000000/jobs", None),
    ],
)
def test_client_has_the_region_of_the_queue(
    url: str,
    region: str | None,
    stubbed_sqs: tuple[SQSClient, Stubber],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    if region:
        queue: Any = Publisher(queue_url=url, store=store)._destination
        assert queue.client.meta.region_name == region
        client = queue.client
        assert queue.client is client
        monkeypatch.setattr("os.getpid", lambda: -1)
        assert queue.client is not client  # of a forked process
    else:
        with pytest.raises(ValueError, match="does not name a Region, so pass a client"):
            Publisher(queue_url=url, store=store)
    assert Publisher(queue_url=url, store=store, sqs=stubbed_sqs[0]).queue_url == url


@pytest.mark.parametrize(
    "destination",
    [
        {},
        {"topic_arn": TOPIC, "queue_url": URL},
        {"queue_url": "jobs"},
        {"queue_url": "arn:aws:sqs:eu-west-1:111111111111:jobs"},
        {"queue_url": URL + "/"},
        {"queue_url": URL + "\n"},
    ],
    ids=str,
)
def test_invalid_destination_is_rejected(destination: dict[str, Any], store: Store) -> None:
    with pytest.raises(ValueError, match="queue_url"):
        Publisher(store=store, **destination)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield


@pytest.mark.usefixtures("aws")
def test_queue_delivers_both_kinds_of_payloads(store: Store) -> None:
    sqs = boto3.client("sqs", region_name="eu-west-1")
    boto3.client("s3", region_name="eu-west-1").create_bucket(
        Bucket=store.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    publisher = Publisher(queue_url=url, store=store)
    published = [publisher.publish(payload, attributes={"kind": "scan"}) for payload in (b"\x00large", "small")]
    records = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    messages = [Dereferencer(stores=[store]).message(record) for record in records]
    assert [message.payload.read() for message in messages] == [b"\x00large", b"small"]
    assert [message.id for message in messages] == [message.message_id for message in published]
    assert [message.attributes["kind"].value for message in messages] == ["scan"] * 2
