"""The subscription and its undelivered queue."""

import pytest

from tests.stacks.policies import only, resources
from tests.stacks.subscriber.support import EXAMPLE, TOPIC, assembly, changed, find_one, template


def test_subscription_is_in_the_topics_region() -> None:
    assert only(template(EXAMPLE, "orders"), "AWS::SNS::Subscription")["Properties"] == {
        "TopicArn": TOPIC,
        "Region": "us-east-1",
        "Protocol": "sqs",
        "Endpoint": "arn:aws:sqs:us-west-2:222222222222:coatcheck-orders",
        "RawMessageDelivery": True,
        "FilterPolicyScope": "MessageAttributes",
        "RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:222222222222:coatcheck-orders-undelivered"},
    }


def test_subscription_of_a_function_is_not_raw() -> None:
    assert only(template(EXAMPLE, "billing"), "AWS::SNS::Subscription")["Properties"] == {
        "TopicArn": TOPIC,
        "Region": "us-east-1",
        "Protocol": "lambda",
        "Endpoint": "arn:aws:lambda:us-east-1:333333333333:function:coatcheck-billing-consume",
        "FilterPolicyScope": "MessageAttributes",
        "RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:333333333333:coatcheck-billing-undelivered"},
    }


@pytest.mark.parametrize("name", ["orders", "billing"])
def test_subscription_ends_and_begins_with_its_key(name: str) -> None:
    """Nothing else changes. CloudFormation creates a deleted subscription again in no other way."""
    subscribed = template(EXAMPLE, name)
    without = template(changed(EXAMPLE, name, subscribed=False), name)
    (logical,) = resources(subscribed, "AWS::SNS::Subscription")
    assert {**without["Resources"], logical: subscribed["Resources"][logical]} == subscribed["Resources"]


@pytest.mark.parametrize(("name", "suffix"), [("orders", "-undelivered"), ("billing", "")])
def test_undelivered_queue_is_in_the_topics_region(name: str, suffix: str) -> None:
    """The subscriber's stack has it, or a second stack if the subscriber is in another Region."""
    stack = f"coatcheck-{name}{suffix}"
    (artifact,) = (stack_ for stack_ in assembly(EXAMPLE, name).stacks if stack_.stack_name == stack)
    assert artifact.environment.region == "us-east-1"
    find_one(artifact.template, "AWS::SQS::Queue", QueueName=f"coatcheck-{name}-undelivered")


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("orders", {"AWS::SQS::Queue", "AWS::SQS::QueuePolicy"}),
        ("billing", {"AWS::Lambda::Permission", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy"}),
    ],
)
def test_subscription_waits_for_its_endpoint(name: str, types: set[str]) -> None:
    own = template(EXAMPLE, name)
    depends_on = only(own, "AWS::SNS::Subscription")["DependsOn"]
    assert {own["Resources"][logical]["Type"] for logical in depends_on} == types


@pytest.mark.parametrize(
    ("offload", "scope", "value"),
    [("over-threshold", "attributes", "MessageAttributes"), ("never", "body", "MessageBody")],
)
def test_subscription_has_the_filter_policy(offload: str, scope: str, value: str) -> None:
    publisher = EXAMPLE.publisher.model_copy(update={"offload": offload})
    deployment = EXAMPLE.model_copy(update={"publisher": publisher})
    filtered = changed(deployment, "orders", filter_policy={"kind": ["scan"]}, filter_policy_scope=scope)
    subscription = only(template(filtered, "orders"), "AWS::SNS::Subscription")["Properties"]
    assert (subscription["FilterPolicy"], subscription["FilterPolicyScope"]) == ({"kind": ["scan"]}, value)
