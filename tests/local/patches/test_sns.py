"""Patches of SNS: subscriptions across accounts and Regions, and properties of topics."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.local.patches.sns_support import subscription, subscriptions, topic_for_subscriber
from tests.local.support import FAR, PUBLISHER, Account, document, eventually, root, unique

pytestmark = pytest.mark.system


def _subscribe(account: Account, topic: str, endpoint: str) -> None:
    role = account.role({"Action": "sns:Subscribe", "Resource": topic})
    sns = account.accounts.client("sns", account=account.number, region=topic.split(":")[3], role=role)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)


@pytest.mark.patched
@pytest.mark.aws
def test_condition_allows_one_endpoint(publisher: Account, subscriber: Account) -> None:
    allowed, other = subscriber.queue(), subscriber.queue()
    topic = topic_for_subscriber(publisher, subscriber, StringEquals={"sns:Endpoint": allowed, "sns:Protocol": "sqs"})

    _subscribe(subscriber, topic, allowed)
    with pytest.raises(ClientError, match="AuthorizationError"):
        _subscribe(subscriber, topic, other)

    assert [each["Endpoint"] for each in subscriptions(publisher, topic)] == [allowed]


@pytest.mark.aws
def test_deny_of_other_endpoints_applies_to_the_owner(publisher: Account, subscriber: Account) -> None:
    allowed, other = subscriber.queue(), subscriber.queue()
    allow = {"Principal": root(subscriber.number), "Action": "sns:Subscribe", "Resource": "*"}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sns:Subscribe", "Resource": "*"}
    topic = publisher.topic(document(allow, {**deny, "Condition": {"StringNotEquals": {"sns:Endpoint": [allowed]}}}))

    for endpoint, expected in ((allowed, "CREATE_COMPLETE"), (other, "ROLLBACK_COMPLETE")):
        assert subscriber.deploy(subscription(topic, "sqs", endpoint))[0] == expected
    with pytest.raises(ClientError, match="AuthorizationError"):
        publisher.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=other)
    assert publisher.deploy(subscription(topic, "sqs", other))[0] == "ROLLBACK_COMPLETE"

    assert [each["Endpoint"] for each in subscriptions(publisher, topic)] == [allowed]


@pytest.mark.patched
@pytest.mark.aws
def test_template_subscribes_across_accounts(publisher: Account, subscriber: Account) -> None:
    topic = topic_for_subscriber(publisher, subscriber)
    queue = subscriber.queue_for("sns.amazonaws.com", topic)
    stack = unique("stack")

    subscriber.create(subscription(topic, "sqs", queue, RawMessageDelivery=True), stack)
    attribute = {"kind": {"DataType": "String", "StringValue": "order"}}
    publisher.client("sns").publish(TopicArn=topic, Message="payload", MessageAttributes=attribute)

    (message,) = eventually(lambda: subscriber.messages(queue))
    assert message["Body"] == "payload"
    assert message["MessageAttributes"]["kind"]["StringValue"] == "order"
    (first,) = subscriptions(publisher, topic)
    assert first["Owner"] == subscriber.number

    # An update in place: the same subscription, with an envelope.
    subscriber.create(subscription(topic, "sqs", queue, RawMessageDelivery=False), stack)
    publisher.client("sns").publish(TopicArn=topic, Message="again")
    assert subscriptions(publisher, topic) == [first]
    (message,) = eventually(lambda: subscriber.messages(queue))
    assert json.loads(message["Body"])["Message"] == "again"

    # Another endpoint needs another subscription.
    subscriber.create(subscription(topic, "sqs", subscriber.queue()), stack)
    (second,) = subscriptions(publisher, topic)
    assert second["SubscriptionArn"] != first["SubscriptionArn"]
    subscriber.client("cloudformation").delete_stack(StackName=stack)
    eventually(lambda: not subscriptions(publisher, topic))


@pytest.mark.aws
def test_owner_reads_its_subscription(publisher: Account, subscriber: Account) -> None:
    topic = topic_for_subscriber(publisher, subscriber)
    subscriber.create(subscription(topic, "sqs", subscriber.queue_for("sns.amazonaws.com", topic)))
    (found,) = subscriptions(publisher, topic)
    assert _attributes(subscriber, found["SubscriptionArn"])["Owner"] == subscriber.number


def _attributes(reader: Account, subscription: str) -> dict[str, str]:
    """Read a subscription's attributes as an account."""
    sns = reader.accounts.client("sns", account=reader.number, region=subscription.split(":")[3])
    attributes: dict[str, str] = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    return attributes


def test_other_account_reads_no_subscription(publisher: Account, other_account: Account) -> None:
    created = publisher.client("sns").subscribe(TopicArn=publisher.topic(), Protocol="sqs", Endpoint=publisher.queue())

    with pytest.raises(ClientError, match="Subscription does not exist"):
        _attributes(other_account, created["SubscriptionArn"])


@pytest.mark.aws
def test_template_fails_when_the_topic_denies(publisher: Account, subscriber: Account) -> None:
    topic, queue = publisher.topic(), subscriber.queue()

    status, reasons = subscriber.deploy(subscription(topic, "sqs", queue))

    assert status == "ROLLBACK_COMPLETE"
    assert "is not authorized to perform: SNS:Subscribe" in reasons
    assert subscriptions(publisher, topic) == []


@pytest.mark.aws
def test_template_fails_without_the_topics_region(publisher: Account, subscriber: Account) -> None:
    topic = topic_for_subscriber(publisher, subscriber)
    status, reasons = subscriber.deploy(subscription(topic, "sqs", subscriber.queue(), Region=FAR))

    assert status == "ROLLBACK_COMPLETE"
    assert "Invalid parameter: TopicArn" in reasons


@pytest.mark.aws
def test_removed_scope_fails(publisher: Account, subscriber: Account) -> None:
    """A filter can be taken out only if its scope stays."""
    topic, stack = topic_for_subscriber(publisher, subscriber), unique("stack")
    queue = subscriber.queue_for("sns.amazonaws.com", topic)
    filtered = {"FilterPolicy": {"kind": ["order"]}, "FilterPolicyScope": "MessageAttributes"}
    subscriber.create(subscription(topic, "sqs", queue, **filtered), stack)

    status, reasons = subscriber.deploy(subscription(topic, "sqs", queue), stack)

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert "FilterPolicyScope: Invalid value [null]" in reasons
    subscriber.create(subscription(topic, "sqs", queue, FilterPolicyScope="MessageAttributes"), stack)
    (found,) = subscriptions(publisher, topic)
    assert json.loads(_attributes(subscriber, found["SubscriptionArn"]).get("FilterPolicy") or "{}") == {}


@pytest.mark.patched
def test_template_sets_topic_properties(publisher: Account) -> None:
    name = unique("topic") + ".fifo"
    properties = {
        "TopicName": name,
        "FifoTopic": True,
        "KmsMasterKeyId": "alias/of-the-topic",
        "SignatureVersion": "2",
        "MaximumMessageSize": 1_048_576,
    }
    publisher.create({"Topic": {"Type": "AWS::SNS::Topic", "Properties": properties}})

    arn = f"arn:aws:sns:{publisher.region}:{publisher.number}:{name}"
    attributes = publisher.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    expected = {"FifoTopic": "true", "ContentBasedDeduplication": "false", "KmsMasterKeyId": "alias/of-the-topic"}
    assert (expected | {"SignatureVersion": "2", "MaximumMessageSize": "1048576"}).items() <= attributes.items()
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Condition"] == {"StringEquals": {"AWS:SourceOwner": PUBLISHER}}


def _publish(account: Account, topic: str, size: int) -> None:
    account.client("sns").publish(TopicArn=topic, Message="x" * size)


@pytest.mark.patched
@pytest.mark.aws
def test_message_size_limit_is_the_topics(publisher: Account) -> None:
    default, large = publisher.topic(), publisher.topic(MaximumMessageSize="1048576")

    _publish(publisher, default, 262_144)
    _publish(publisher, large, 1_048_576)
    for topic, size in ((default, 262_145), (large, 1_048_577)):
        with pytest.raises(ClientError, match="Message too long"):
            _publish(publisher, topic, size)


@pytest.mark.patched
@pytest.mark.aws
def test_batch_size_limit_is_the_topics(publisher: Account) -> None:
    topic, batch = publisher.topic(), publisher.client("sns").publish_batch

    def entries(*sizes: int) -> list[dict[str, str]]:
        return [{"Id": str(number), "Message": "x" * size} for number, size in enumerate(sizes)]

    assert len(batch(TopicArn=topic, PublishBatchRequestEntries=entries(131_072, 131_072))["Successful"]) == 2
    with pytest.raises(ClientError, match="BatchRequestTooLong"):
        batch(TopicArn=topic, PublishBatchRequestEntries=entries(131_072, 131_073))
