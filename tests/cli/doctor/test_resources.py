"""Differences of properties in the forms in which AWS returns them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from access.assembly import StackTemplate
from cli.doctor import resources
from cli.doctor.properties import TABLE
from cli.doctor.requests import Requests
from tests.cli.doctor.conftest import ACCOUNT, REGION, FakeClients

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:a"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:t"


def stack(kind: str, properties: dict[str, Any], physical: str) -> StackTemplate:
    template = {"Resources": {"One": {"Type": kind, "Properties": properties}}}
    return StackTemplate("s", "s", ACCOUNT, REGION, template, physical_ids={"One": physical})


def compare(
    clients: FakeClients,
    requests: Requests,
    kind: str,
    properties: dict[str, Any],
    *responses: Any,
    physical: str = "p",
) -> list[str]:
    """Return the differences of one resource, whose requests are answered in the order of the table."""
    for read, response in zip(TABLE[kind], responses, strict=True):
        service, _, operation = read.request.partition(".")
        stub = clients.stub(service)
        if isinstance(response, str):
            stub.add_client_error(operation, response, "no")
        else:
            stub.add_response(operation, response)
    found = resources.differences({ACCOUNT: requests}, [stack(kind, properties, physical)])
    return [each.text for each in found]


def attributes(**values: str) -> dict[str, Any]:
    return {"Attributes": values}


REDRIVE = {"deadLetterTargetArn": QUEUE, "maxReceiveCount": 4}
DEFAULTS = {"VisibilityTimeout": "30", "MessageRetentionPeriod": "345600", "SqsManagedSseEnabled": "true"}


@pytest.mark.parametrize(
    ("properties", "returned", "differences"),
    [
        ({}, {}, []),
        ({"VisibilityTimeout": 360}, {"VisibilityTimeout": "360"}, []),
        ({"VisibilityTimeout": 360}, {}, ['VisibilityTimeout is "30", expected 360.']),
        ({}, {"VisibilityTimeout": "360"}, ['VisibilityTimeout is "360", expected 30.']),
        ({"RedrivePolicy": REDRIVE}, {"RedrivePolicy": json.dumps(REDRIVE)}, []),
        (
            {"RedrivePolicy": REDRIVE},
            {"RedrivePolicy": json.dumps({**REDRIVE, "maxReceiveCount": "9"})},
            ['RedrivePolicy.maxReceiveCount is "9", expected 4.'],
        ),
        ({"RedrivePolicy": REDRIVE}, {}, [f"RedrivePolicy is not set, expected {json.dumps(REDRIVE)}."]),
        ({}, {"KmsMasterKeyId": "k"}, ['KmsMasterKeyId is "k", expected none.']),
        ({"SqsManagedSseEnabled": False}, {}, ['SqsManagedSseEnabled is "true", expected false.']),
    ],
)
def test_queue_is_compared(
    clients: FakeClients, requests: Requests, properties: Any, returned: Any, differences: list[str]
) -> None:
    answer = attributes(**{**DEFAULTS, **returned})
    found = compare(clients, requests, "AWS::SQS::Queue", {"QueueName": "a"} | properties, answer)
    assert found == differences


RULE = {"Id": "E", "Status": "Enabled", "Prefix": "payloads/", "ExpirationInDays": 8}
RETURNED = {"ID": "E", "Status": "Enabled", "Filter": {"Prefix": "payloads/"}, "Expiration": {"Days": 8}}
ABORT = {"Id": "A", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}}
BUCKET = {"VersioningConfiguration": {"Status": "Enabled"}, "LifecycleConfiguration": {"Rules": [RULE, ABORT]}}
ABORTED = {"ID": "A", "Status": "Enabled", "Filter": {"Prefix": ""}} | {
    "AbortIncompleteMultipartUpload": ABORT["AbortIncompleteMultipartUpload"]
}


@pytest.mark.parametrize(
    ("versions", "lifecycle", "events", "differences"),
    [
        ({"Status": "Enabled"}, {"Rules": [ABORTED, RETURNED]}, {}, []),
        ({}, {"Rules": [ABORTED, RETURNED]}, {}, ["VersioningConfiguration is not set"]),
        ({"Status": "Enabled"}, "NoSuchLifecycleConfiguration", {}, ["LifecycleConfiguration is not set"]),
        ({"Status": "Enabled"}, {"Rules": [ABORTED]}, {}, ["LifecycleConfiguration.Rules is"]),
        ("NoSuchBucket", {}, {}, ["AWS::S3::Bucket p does not exist. It was deleted outside its stack."]),
        (
            {"Status": "Enabled"},
            {"Rules": [ABORTED, RETURNED]},
            {"EventBridgeConfiguration": {}},
            ["NotificationConfiguration is {"],
        ),
    ],
)
def test_bucket_is_compared(
    clients: FakeClients, requests: Requests, versions: Any, lifecycle: Any, events: Any, differences: list[str]
) -> None:
    """A configuration that S3 does not have is an error of S3."""
    absent = "ServerSideEncryptionConfigurationNotFoundError"
    answers = [versions, absent, lifecycle, {}, events, "OwnershipControlsNotFoundError"]
    answers += ["ReplicationConfigurationNotFoundError", "NoSuchPublicAccessBlockConfiguration"]
    found = compare(clients, requests, "AWS::S3::Bucket", {"BucketName": "p", **BUCKET}, *answers)
    assert len(found) == len(differences)
    assert all(text.startswith(start) for text, start in zip(found, differences, strict=True)), found


def test_name_and_arn_of_a_function_are_equal(clients: FakeClients, requests: Requests) -> None:
    properties = {"FunctionName": "f", "EventSourceArn": QUEUE, "BatchSize": 10}
    answer = {"FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f", "EventSourceArn": QUEUE, "BatchSize": 10}
    kind = "AWS::Lambda::EventSourceMapping"
    assert compare(clients, requests, kind, properties, answer | {"State": "Updating"}, physical="1" * 36) == []
    other = {"FunctionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:g", "State": "Disabled"}
    found = compare(clients, requests, kind, properties, answer | other, physical="1" * 36)
    assert [text.partition(" is ")[0] for text in found] == ["Enabled", "FunctionName"]


def test_denied_request_compares_nothing(clients: FakeClients, requests: Requests) -> None:
    assert compare(clients, requests, "AWS::SQS::Queue", {"QueueName": "a"}, "AccessDenied") == []
    assert [permission for permission, _, _ in requests.refused] == ["sqs:GetQueueAttributes"]


def test_subscription_is_asked_at_its_topic(clients: FakeClients, requests: Requests) -> None:
    """CloudFormation has the old ARN of a subscription that was deleted and made again."""
    arn, properties = f"{TOPIC}:1", {"TopicArn": TOPIC, "Endpoint": QUEUE, "Protocol": "sqs"}
    listed = {"SubscriptionArn": arn, "Endpoint": QUEUE, "Protocol": "sqs", "TopicArn": TOPIC, "Owner": ACCOUNT}
    clients.stub("sns").add_response("list_subscriptions_by_topic", {"Subscriptions": [listed]})
    answer = attributes(RawMessageDelivery="true", PendingConfirmation="false", FilterPolicyScope="MessageAttributes")
    found = compare(clients, requests, "AWS::SNS::Subscription", properties, answer, physical=f"{TOPIC}:0")
    assert found == ['RawMessageDelivery is "true", expected none.']
    clients.stub("sns").add_response("list_subscriptions_by_topic", {"Subscriptions": []})
    (lost,) = resources.differences({ACCOUNT: requests}, [stack("AWS::SNS::Subscription", properties, arn)])
    assert lost.text.startswith(f"{QUEUE} is not subscribed to {TOPIC}, so that no message arrives.")
