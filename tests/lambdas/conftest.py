"""Functions in their Lambda environment, with AWS answered by moto."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.loaders import create_loader
from moto import mock_aws

PUBLISHER = "111111111111"
SUBSCRIBER = "123456789012"  # the account that moto runs in
STORE = {"bucket": "payloads-bucket", "prefix": "payloads/", "owner": SUBSCRIBER, "region": "us-east-1"}
SECONDS_IN_QUEUE = 2
_LOADER = create_loader()
STAGING_STORE = {"bucket": "inbox-bucket", "prefix": "inline/", "owner": SUBSCRIBER, "region": "us-east-1"}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS in one account, empty but for the two buckets."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # A proxy's or a sandbox's bundle of certificates must not reach botocore here.
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with mock_aws():
        # Each mock begins with a new session, which would read the services' descriptions again.
        boto3.setup_default_session()
        boto3.DEFAULT_SESSION._session.register_component("data_loader", _LOADER)  # type: ignore[union-attr]
        s3 = boto3.client("s3")
        for store in (STORE, STAGING_STORE):
            s3.create_bucket(Bucket=store["bucket"])
        s3.put_bucket_versioning(Bucket=STORE["bucket"], VersioningConfiguration={"Status": "Enabled"})
        yield


@pytest.fixture
def context() -> SimpleNamespace:
    """What a handler uses of Lambda's context."""
    return SimpleNamespace(
        function_name="function",
        function_version="$LATEST",
        memory_limit_in_mb=1024,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
        aws_request_id="request",
        get_remaining_time_in_millis=lambda: 300_000,
    )


@pytest.fixture
def load(aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Import a handler as a cold start does: its module reads the environment given."""
    loaded: list[str] = []

    def load(package: str, **environment: str) -> ModuleType:
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "coatcheck")
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", package)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        for name in ("shared.telemetry", f"{package}.handler"):
            sys.modules.pop(name, None)
        loaded.append(name)
        return importlib.import_module(name)

    yield load
    for name in loaded:
        sys.modules.pop(name, None)


@pytest.fixture
def queue() -> Callable[[str], str]:
    """Creates a queue; answers its URL."""
    return lambda name: boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]


def received(url: str) -> list[dict[str, Any]]:
    """Messages in a queue, with their attributes."""
    answer = boto3.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
    return answer.get("Messages", [])  # type: ignore[return-value]


def subscribed_topic(queue_url: str) -> str:
    """A topic that delivers to the queue, raw; answers its ARN."""
    sns = boto3.client("sns")
    topic = sns.create_topic(Name="messages")["TopicArn"]
    arn = boto3.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"], Attributes={"RawMessageDelivery": "true"})
    return topic


def sqs_record(message: dict[str, Any], *, receives: int = 1, queue: str = "queue") -> dict[str, Any]:
    """A received SQS message as Lambda's event spells it."""
    attributes = message.get("MessageAttributes", {})
    return {
        "messageId": message["MessageId"],
        "receiptHandle": "handle",
        "body": message["Body"],
        "attributes": {
            "ApproximateReceiveCount": str(receives),
            "MessageGroupId": "group",
            "SentTimestamp": str(round(time.time() * 1000) - SECONDS_IN_QUEUE * 1000),
        },
        "messageAttributes": {
            name: {
                "dataType": value["DataType"],
                **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
            }
            for name, value in attributes.items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:{SUBSCRIBER}:{queue}",
        "awsRegion": "us-east-1",
    }


def environment(**more: str) -> dict[str, str]:
    return {
        "PAYLOAD_STORE": json.dumps(STORE),
        "TRUSTED_STORES": json.dumps([STORE]),
        "STAGING_STORE": json.dumps(STAGING_STORE),
        **more,
    }
