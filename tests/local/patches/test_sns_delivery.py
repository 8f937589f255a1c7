"""Patches of SNS: delivery to other accounts, and queues for undelivered messages."""

import json
from functools import partial
from typing import Any

import pytest

from tests.local.patches.sns_support import subscription, subscriptions, topic_for_subscriber
from tests.local.support import PUBLISHER, SUBSCRIBER, Account, document, eventually, root, unique

pytestmark = pytest.mark.system


def _topic_with_function(publisher: Account, subscriber: Account, function: str, **properties: Any) -> str:
    topic = topic_for_subscriber(publisher, subscriber)
    subscriber.create(subscription(topic, "lambda", function, **properties))
    return topic


@pytest.mark.patched
def test_function_of_another_account_is_invoked(publisher: Account, subscriber: Account) -> None:
    function = subscriber.function()
    topic = _topic_with_function(publisher, subscriber, function)
    subscriber.allow_invoke(function, "sns.amazonaws.com", topic)

    publisher.client("sns").publish(TopicArn=topic, Message="payload", Subject="subject")

    (event,) = eventually(lambda: subscriber.events(function))
    record = event["Records"][0]
    assert record["EventSource"] == "aws:sns"
    assert record["Sns"]["TopicArn"] == topic
    assert record["Sns"]["Message"] == "payload"
    assert record["EventSubscriptionArn"] == subscriptions(publisher, topic)[0]["SubscriptionArn"]


def test_message_is_redriven_when_the_function_denies(publisher: Account, subscriber: Account) -> None:
    function, near = subscriber.function(), Account(subscriber.accounts, SUBSCRIBER)
    undelivered = near.queue_for("sns.amazonaws.com", f"arn:aws:sns:*:{PUBLISHER}:*")
    redrive = {"deadLetterTargetArn": undelivered}
    topic = _topic_with_function(publisher, subscriber, function, RedrivePolicy=redrive)
    subscriber.allow_invoke(function, "sns.amazonaws.com", topic + "-another")

    publisher.client("sns").publish(TopicArn=topic, Message="payload")

    (message,) = eventually(lambda: near.messages(undelivered))
    assert json.loads(message["Body"])["Message"] == "payload"
    assert subscriber.events(function) == []


def _undelivered(publisher: Account, *, raw: bool, missing: bool) -> str:
    """Publish to a queue that is missing or denies the topic, and return the queue for undelivered messages."""
    topic = publisher.topic()
    undelivered = publisher.queue_for("sns.amazonaws.com", topic)
    queue = f"arn:aws:sqs:{publisher.region}:{publisher.number}:{unique('missing')}" if missing else publisher.queue()
    attributes = {
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": undelivered}),
        "RawMessageDelivery": json.dumps(raw),
    }
    sns = publisher.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes)
    attribute = {"kind": {"DataType": "String", "StringValue": "order"}}
    sns.publish(TopicArn=topic, Message="payload", MessageAttributes=attribute)
    return undelivered


@pytest.mark.patched
@pytest.mark.aws
@pytest.mark.parametrize("missing", [True, False])
def test_message_is_redriven_when_the_queue_fails(publisher: Account, missing: bool) -> None:
    queues = [_undelivered(publisher, raw=raw, missing=missing) for raw in (True, False)]
    (raw,), (enveloped,) = (eventually(partial(publisher.messages, queue)) for queue in queues)

    assert raw["Body"] == "payload"
    assert raw["MessageAttributes"]["kind"]["StringValue"] == "order"
    assert json.loads(enveloped["Body"])["Message"] == "payload"


def test_redrive_needs_the_queues_permission(publisher: Account) -> None:
    topic, undelivered = publisher.topic(), publisher.queue()
    attributes = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": undelivered})}
    sns = publisher.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=publisher.queue(), Attributes=attributes)

    sns.publish(TopicArn=topic, Message="payload")

    assert publisher.messages(undelivered) == []


@pytest.mark.aws
def test_fifo_topic_delivers_each_message_once_in_order(publisher: Account, subscriber: Account) -> None:
    statement = {"Principal": root(subscriber.number), "Action": "sns:Subscribe", "Resource": "*"}
    topics, queues = publisher.client("sns"), subscriber.client("sqs")
    attributes = {"FifoTopic": "true", "Policy": document(statement)}
    topic = topics.create_topic(Name=unique("topic") + ".fifo", Attributes=attributes)["TopicArn"]
    send = {"Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
    name = unique("queue") + ".fifo"
    url = queues.create_queue(QueueName=name, Attributes={"FifoQueue": "true", "Policy": document(send)})["QueueUrl"]
    queue = f"arn:aws:sqs:{subscriber.region}:{subscriber.number}:{name}"
    subscriber.create(subscription(topic, "sqs", queue, RawMessageDelivery=True))

    for body, deduplication_id in (("first", "1"), ("first", "1"), ("second", "2")):
        topics.publish(TopicArn=topic, Message=body, MessageGroupId="orders", MessageDeduplicationId=deduplication_id)

    received: list[dict[str, Any]] = []

    def both() -> bool:
        response = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
        for message in response.get("Messages", ()):
            received.append(message)
            queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(received) >= 2

    eventually(both)
    assert [message["Body"] for message in received] == ["first", "second"]
    assert {message["Attributes"]["MessageGroupId"] for message in received} == {"orders"}
