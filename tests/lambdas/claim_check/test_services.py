"""Round trips through moto's SNS, SQS and S3, with boto3's serialisation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from claim_check import Attribute, Dereferencer, Pointer, Publisher, S3Object, Store

ACCOUNT = "123456789012"  # moto's


@pytest.fixture
def services() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "enveloped"])
def test_messages_arrive_in_queue(services: None, raw: bool) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    sns = boto3.client("sns", region_name="us-east-1")
    sqs = boto3.client("sqs", region_name="us-east-1")
    s3.create_bucket(Bucket="payloads-one")
    topic = sns.create_topic(Name="events")["TopicArn"]
    queue = sqs.create_queue(QueueName="events")["QueueUrl"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:events",
        Attributes={"RawMessageDelivery": "true" if raw else "false"},
    )
    store = Store("payloads-one", "payloads/", ACCOUNT, "us-east-1")
    publisher = Publisher(topic_arn=topic, store=store, sns=sns, s3=s3)
    payloads = {"inline": b"caf\xc3\xa9", "small": b"\x00\xff", "large": bytes(range(256)) * 40_000}
    for name, data in payloads.items():
        publisher.publish(data, message_id=name, attributes={"kind": "scan", "weight": 1.5}, subject="a scan")
    s3.put_object(Bucket="payloads-one", Key="outbox/upload", Body=b"uploaded")
    upload = S3Object("payloads-one", "outbox/upload", store.owner, store.region)
    publisher.publish_object(upload, size=8, message_id="upload")

    records: list[Any] = []
    while len(records) < 4:
        response = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        records += response["Messages"]
    outcomes = list(Dereferencer(stores=[store], s3=s3).outcomes(records))

    assert [outcome.error for outcome in outcomes] == [None] * 4
    messages = {outcome.message.id: outcome.message for outcome in outcomes if outcome.message}
    assert {name: message.payload.read() for name, message in messages.items()} == {**payloads, "upload": b"uploaded"}
    for name, data in payloads.items():
        assert messages[name].sha256 == hashlib.sha256(data).hexdigest()
        assert messages[name].attributes == {"kind": Attribute("String", "scan"), "weight": Attribute("Number", "1.5")}
        assert messages[name].subject == (None if raw else "a scan")
    assert messages["upload"].sha256 == hashlib.sha256(b"uploaded").hexdigest()
    assert messages["upload"].pointer == Pointer("payloads-one", "payloads/upload")
