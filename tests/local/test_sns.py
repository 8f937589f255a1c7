"""SNS's gaps: subscriptions and deliveries across accounts and Regions."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import FAR, PUBLISHER, SUBSCRIBER, Account, document, eventually, root, unique

pytestmark = pytest.mark.system


def _open_topic(publisher: Account, **condition: Any) -> str:
    """The ARN of a topic that the subscriber's account may subscribe to, under a condition."""
    statement = {"Principal": root(SUBSCRIBER), "Action": "sns:Subscribe", "Resource": "*"}
    return publisher.topic(document({**statement, **({"Condition": condition} if condition else {})}))


def _subscription(topic: str, protocol: str, endpoint: str, **properties: Any) -> dict[str, Any]:
    given = {"TopicArn": topic, "Protocol": protocol, "Endpoint": endpoint, "Region": topic.split(":")[3]}
    return {"Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {**given, **properties}}}


def _subscriptions(publisher: Account, topic: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = publisher.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return found


# --- condition keys ---


def _subscribe(account: Account, topic: str, endpoint: str) -> None:
    role = account.role({"Action": "sns:Subscribe", "Resource": topic})
    sns = account.accounts.client("sns", account=account.number, region=topic.split(":")[3], role=role)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)


def test_an_endpoint_condition_allows_that_endpoint_alone(publisher: Account, subscriber: Account) -> None:
    mine, other = subscriber.queue(), subscriber.queue()
    topic = _open_topic(publisher, StringEquals={"sns:Endpoint": mine, "sns:Protocol": "sqs"})

    _subscribe(subscriber, topic, mine)
    with pytest.raises(ClientError, match="AuthorizationError"):
        _subscribe(subscriber, topic, other)

    assert [one["Endpoint"] for one in _subscriptions(publisher, topic)] == [mine]


def test_gap_endpoint_condition(bare: Accounts) -> None:
    publisher, subscriber = Account(bare, PUBLISHER), Account(bare, SUBSCRIBER, FAR)
    mine = subscriber.queue()

    with pytest.raises(ClientError, match="AuthorizationError"):
        _subscribe(subscriber, _open_topic(publisher, StringEquals={"sns:Endpoint": mine}), mine)


def _deny_others(publisher: Account, endpoint: str) -> str:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "sns:Subscribe", "Resource": "*"}
    condition = {"StringNotEquals": {"sns:Endpoint": [endpoint]}}
    allow = {"Principal": root(SUBSCRIBER), "Action": "sns:Subscribe", "Resource": "*"}
    return publisher.topic(document(allow, {**deny, "Condition": condition}))


def test_a_deny_of_other_endpoints_holds_for_everybody(publisher: Account, subscriber: Account) -> None:
    mine, other = subscriber.queue(), subscriber.queue()
    topic = _deny_others(publisher, mine)

    for endpoint, expected in ((mine, "CREATE_COMPLETE"), (other, "ROLLBACK_COMPLETE")):
        status, _ = subscriber.deploy(_subscription(topic, "sqs", endpoint))
        assert status == expected
    with pytest.raises(ClientError, match="AuthorizationError"):  # the topic's owner too, by the API
        publisher.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=other)
    assert publisher.deploy(_subscription(topic, "sqs", other))[0] == "ROLLBACK_COMPLETE"

    assert [one["Endpoint"] for one in _subscriptions(publisher, topic)] == [mine]


# --- AWS::SNS::Subscription ---


def test_a_template_subscribes_across_accounts_and_regions(publisher: Account, subscriber: Account) -> None:
    topic = _open_topic(publisher)
    queue = subscriber.queue_open_to("sns.amazonaws.com", topic)
    stack = unique("stack")

    assert subscriber.deploy(_subscription(topic, "sqs", queue, RawMessageDelivery=True), stack)[0] == "CREATE_COMPLETE"
    attribute = {"kind": {"DataType": "String", "StringValue": "order"}}
    publisher.client("sns").publish(TopicArn=topic, Message="payload", MessageAttributes=attribute)

    (message,) = eventually(lambda: subscriber.messages(queue))
    assert message["Body"] == "payload"
    assert message["MessageAttributes"]["kind"]["StringValue"] == "order"
    (subscription,) = _subscriptions(publisher, topic)
    assert subscription["Owner"] == SUBSCRIBER

    # Updated in place: the same subscription, delivered as an envelope now.
    assert (
        subscriber.deploy(_subscription(topic, "sqs", queue, RawMessageDelivery=False), stack)[0] == "UPDATE_COMPLETE"
    )
    publisher.client("sns").publish(TopicArn=topic, Message="again")
    assert _subscriptions(publisher, topic) == [subscription]
    (message,) = eventually(lambda: subscriber.messages(queue))
    assert json.loads(message["Body"])["Message"] == "again"

    # Another endpoint is another subscription; then none.
    assert subscriber.deploy(_subscription(topic, "sqs", subscriber.queue()), stack)[0] == "UPDATE_COMPLETE"
    (replaced,) = _subscriptions(publisher, topic)
    assert replaced["SubscriptionArn"] != subscription["SubscriptionArn"]
    subscriber.client("cloudformation").delete_stack(StackName=stack)
    eventually(lambda: not _subscriptions(publisher, topic))


def test_a_template_the_topic_does_not_allow_fails(publisher: Account, subscriber: Account) -> None:
    topic, queue = publisher.topic(), subscriber.queue()

    status, reasons = subscriber.deploy(_subscription(topic, "sqs", queue))

    assert status == "ROLLBACK_COMPLETE"
    assert "is not authorized to perform: SNS:Subscribe" in reasons
    assert _subscriptions(publisher, topic) == []


def test_a_template_without_the_topics_region_fails(publisher: Account, subscriber: Account) -> None:
    status, reasons = subscriber.deploy(_subscription(_open_topic(publisher), "sqs", subscriber.queue(), Region=FAR))

    assert status == "ROLLBACK_COMPLETE"
    assert "set the property Region" in reasons


def test_gap_subscription_across_accounts(bare: Accounts) -> None:
    publisher, subscriber = Account(bare, PUBLISHER), Account(bare, SUBSCRIBER, FAR)
    topic = _open_topic(publisher)

    assert subscriber.deploy(_subscription(topic, "sqs", subscriber.queue()))[0] == "CREATE_COMPLETE"
    assert _subscriptions(publisher, topic) == []


# --- delivery ---


def _subscribe_function(publisher: Account, subscriber: Account, function: str, **properties: Any) -> str:
    topic = _open_topic(publisher)
    status, reasons = subscriber.deploy(_subscription(topic, "lambda", function, **properties))
    assert status == "CREATE_COMPLETE", reasons
    return topic


def test_a_function_of_another_account_is_invoked(publisher: Account, subscriber: Account) -> None:
    function = subscriber.function()
    topic = _subscribe_function(publisher, subscriber, function)
    subscriber.let_invoke(function, "sns.amazonaws.com", topic)

    publisher.client("sns").publish(TopicArn=topic, Message="payload", Subject="subject")

    (event,) = eventually(lambda: subscriber.events(function))
    record = event["Records"][0]
    assert record["EventSource"] == "aws:sns"
    assert record["Sns"]["TopicArn"] == topic
    assert record["Sns"]["Message"] == "payload"
    assert record["EventSubscriptionArn"] == _subscriptions(publisher, topic)[0]["SubscriptionArn"]


def test_a_function_that_does_not_let_the_topic_is_redriven(publisher: Account, subscriber: Account) -> None:
    function, near = subscriber.function(), Account(subscriber.accounts, SUBSCRIBER)
    redrive = near.queue_open_to("sns.amazonaws.com", f"arn:aws:sns:*:{PUBLISHER}:*")
    topic = _subscribe_function(publisher, subscriber, function, RedrivePolicy={"deadLetterTargetArn": redrive})
    subscriber.let_invoke(function, "sns.amazonaws.com", topic + "-another")

    publisher.client("sns").publish(TopicArn=topic, Message="payload")

    (message,) = eventually(lambda: near.messages(redrive))
    assert json.loads(message["Body"])["Message"] == "payload"
    assert subscriber.events(function) == []


def test_gap_function_of_another_account(bare: Accounts) -> None:
    publisher, subscriber = Account(bare, PUBLISHER), Account(bare, SUBSCRIBER)
    function, witness = subscriber.function(), publisher.function()
    topic = _open_topic(publisher)
    subscriber.let_invoke(function, "sns.amazonaws.com", topic)
    for account, endpoint in ((subscriber, function), (publisher, witness)):
        account.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=endpoint)

    publisher.client("sns").publish(TopicArn=topic, Message="payload")

    eventually(lambda: publisher.events(witness))  # of the same account, and its policy lets nobody: not asked either
    assert subscriber.events(function) == []


def _undeliverable(publisher: Account, *, raw: bool, missing: bool) -> list[dict[str, Any]]:
    """What reaches the redrive queue of a queue that is missing, or lets nobody."""
    topic = publisher.topic()
    redrive = publisher.queue_open_to("sns.amazonaws.com", topic)
    queue = f"arn:aws:sqs:{publisher.region}:{PUBLISHER}:{unique('missing')}" if missing else publisher.queue()
    attributes = {
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": redrive}),
        "RawMessageDelivery": json.dumps(raw),
    }
    sns = publisher.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=attributes)
    attribute = {"kind": {"DataType": "String", "StringValue": "order"}}
    sns.publish(TopicArn=topic, Message="payload", MessageAttributes=attribute)
    return publisher.messages(redrive)


@pytest.mark.parametrize("missing", [True, False])
def test_what_a_queue_does_not_take_is_redriven(publisher: Account, missing: bool) -> None:
    (raw,) = _undeliverable(publisher, raw=True, missing=missing)
    (enveloped,) = _undeliverable(publisher, raw=False, missing=missing)

    assert raw["Body"] == "payload"
    assert raw["MessageAttributes"]["kind"]["StringValue"] == "order"
    assert json.loads(enveloped["Body"])["Message"] == "payload"


def test_a_redrive_queue_that_lets_nobody_gets_nothing(publisher: Account) -> None:
    topic, redrive = publisher.topic(), publisher.queue()
    attributes = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": redrive})}
    sns = publisher.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=publisher.queue(), Attributes=attributes)

    sns.publish(TopicArn=topic, Message="payload")

    assert publisher.messages(redrive) == []


def test_gap_redrive(bare: Accounts) -> None:
    assert _undeliverable(Account(bare, PUBLISHER), raw=True, missing=True) == []


def test_a_fifo_topic_delivers_in_its_groups_once(publisher: Account, subscriber: Account) -> None:
    statement = {"Principal": root(SUBSCRIBER), "Action": "sns:Subscribe", "Resource": "*"}
    topics, queues = publisher.client("sns"), subscriber.client("sqs")
    attributes = {"FifoTopic": "true", "Policy": document(statement)}
    topic = topics.create_topic(Name=unique("topic") + ".fifo", Attributes=attributes)["TopicArn"]
    send = {"Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
    name = unique("queue") + ".fifo"
    url = queues.create_queue(QueueName=name, Attributes={"FifoQueue": "true", "Policy": document(send)})["QueueUrl"]
    queue = f"arn:aws:sqs:{subscriber.region}:{SUBSCRIBER}:{name}"
    status, reasons = subscriber.deploy(_subscription(topic, "sqs", queue, RawMessageDelivery=True))
    assert status == "CREATE_COMPLETE", reasons

    for body, identity in (("first", "1"), ("first", "1"), ("second", "2")):
        topics.publish(TopicArn=topic, Message=body, MessageGroupId="orders", MessageDeduplicationId=identity)

    received = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert [message["Body"] for message in received] == ["first", "second"]
    assert {message["Attributes"]["MessageGroupId"] for message in received} == {"orders"}


@pytest.mark.parametrize("secure", ["false", "true"])
def test_a_deny_by_transport_sees_tls(publisher: Account, secure: str) -> None:
    """Denied without TLS, everything here is allowed; denied with it, to see that the key is there, nothing is."""
    deny = {"Effect": "Deny", "Principal": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": secure}}}
    send = {"Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
    role = publisher.role({"Action": ["sns:Publish", "sqs:SendMessage"], "Resource": "*"})
    shut_topic, open_topic = publisher.topic(document({**deny, "Action": "sns:Publish"})), publisher.topic()
    queue = publisher.queue(document(send, {**deny, "Action": "sqs:SendMessage"}))
    publisher.client("sns").subscribe(TopicArn=open_topic, Protocol="sqs", Endpoint=queue)
    sqs = publisher.client("sqs", role)
    url = publisher.client("sqs").get_queue_url(QueueName=queue.rsplit(":", 1)[1])["QueueUrl"]
    calls: list[Callable[[], Any]] = [
        lambda: publisher.client("sns", role).publish(TopicArn=shut_topic, Message="payload"),
        lambda: sqs.send_message(QueueUrl=url, MessageBody="payload"),
    ]

    for call in calls:
        if secure == "false":
            call()
        else:
            with pytest.raises(ClientError, match=r"AuthorizationError|AccessDenied"):
                call()
    publisher.client("sns").publish(TopicArn=open_topic, Message="payload")

    assert len(publisher.messages(queue)) == (2 if secure == "false" else 0)


# --- topics ---


def _attributes_by_cloudformation(account: Account) -> dict[str, str]:
    name = unique("topic") + ".fifo"
    properties = {
        "TopicName": name,
        "FifoTopic": True,
        "KmsMasterKeyId": "alias/of-the-topic",
        "SignatureVersion": "2",
        "MaximumMessageSize": 1_048_576,
    }
    assert account.deploy({"Topic": {"Type": "AWS::SNS::Topic", "Properties": properties}})[0] == "CREATE_COMPLETE"
    arn = f"arn:aws:sns:{account.region}:{account.number}:{name}"
    found: dict[str, str] = account.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    return found


def test_topic_properties_by_cloudformation(publisher: Account) -> None:
    found = _attributes_by_cloudformation(publisher)

    assert found["FifoTopic"] == "true"
    assert found["ContentBasedDeduplication"] == "false"
    assert found["KmsMasterKeyId"] == "alias/of-the-topic"
    assert found["SignatureVersion"] == "2"
    assert found["MaximumMessageSize"] == "1048576"
    assert json.loads(found["Policy"])["Statement"][0]["Condition"] == {"StringEquals": {"AWS:SourceOwner": PUBLISHER}}


def test_gap_topic_properties(bare: Accounts) -> None:
    found = _attributes_by_cloudformation(Account(bare, PUBLISHER))

    assert not {"FifoTopic", "KmsMasterKeyId", "MaximumMessageSize"} & set(found)
    assert "Condition" not in json.loads(found["Policy"])["Statement"][0]


def _publish(account: Account, topic: str, size: int) -> None:
    account.client("sns").publish(TopicArn=topic, Message="x" * size)


def test_a_message_has_the_topics_maximum_size(publisher: Account) -> None:
    default, large = publisher.topic(), publisher.topic(MaximumMessageSize="1048576")

    _publish(publisher, default, 262_144)
    _publish(publisher, large, 1_048_576)
    for topic, size in ((default, 262_145), (large, 1_048_577)):
        with pytest.raises(ClientError, match="Message too long"):
            _publish(publisher, topic, size)


def test_a_batch_has_the_topics_maximum_size_as_a_whole(publisher: Account) -> None:
    topic, batch = publisher.topic(), publisher.client("sns").publish_batch

    def entries(*sizes: int) -> list[dict[str, str]]:
        return [{"Id": str(number), "Message": "x" * size} for number, size in enumerate(sizes)]

    assert len(batch(TopicArn=topic, PublishBatchRequestEntries=entries(131_072, 131_072))["Successful"]) == 2
    with pytest.raises(ClientError, match="BatchRequestTooLong"):
        batch(TopicArn=topic, PublishBatchRequestEntries=entries(131_072, 131_073))


def test_gap_maximum_message_size(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)

    with pytest.raises(ClientError, match="Message too long"):
        _publish(account, account.topic(MaximumMessageSize="1048576"), 300_000)


def test_gap_maximum_batch_size(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    entries = [{"Id": str(number), "Message": "x" * 200_000} for number in range(2)]

    answer = account.client("sns").publish_batch(TopicArn=account.topic(), PublishBatchRequestEntries=entries)

    assert len(answer["Successful"]) == 2
