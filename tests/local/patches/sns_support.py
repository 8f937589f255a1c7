"""Topics and subscriptions for the tests of SNS's patches."""

from typing import Any

from tests.local.support import Account, document, root


def topic_for_subscriber(publisher: Account, subscriber: Account, **condition: Any) -> str:
    """Create a topic to which the subscriber's account may subscribe, and return its ARN."""
    statement = {"Principal": root(subscriber.number), "Action": "sns:Subscribe", "Resource": "*"}
    return publisher.topic(document({**statement, **({"Condition": condition} if condition else {})}))


def subscription(topic: str, protocol: str, endpoint: str, **properties: Any) -> dict[str, Any]:
    """Return the resources of a template with a subscription."""
    values = {"TopicArn": topic, "Protocol": protocol, "Endpoint": endpoint, "Region": topic.split(":")[3]}
    return {"Subscription": {"Type": "AWS::SNS::Subscription", "Properties": {**values, **properties}}}


def subscriptions(publisher: Account, topic: str) -> list[dict[str, str]]:
    """Return the topic's subscriptions."""
    sns = publisher.client("sns")
    listed: list[dict[str, str]] = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return listed
