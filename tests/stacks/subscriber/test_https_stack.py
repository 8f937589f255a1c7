"""The stack of a subscriber with an HTTPS endpoint: a role, a queue and a subscription."""

import json
from datetime import timedelta

import pytest

from claim_check.https import WINDOW
from stacks.deployment import load_messaging
from stacks.subscriber.https_stack import DELIVERY_POLICY
from tests.stacks.policies import Template, only, statements, without_alarms
from tests.stacks.subscriber.support import DEPLOYMENTS, TOPIC, changed, template

EVERYWHERE = load_messaging(DEPLOYMENTS / "everywhere.toml")


@pytest.fixture(scope="module")
def partner() -> Template:
    return template(EVERYWHERE, "partner")


def test_subscription_posts_signed_envelopes(partner: Template) -> None:
    assert only(partner, "AWS::SNS::Subscription")["Properties"] == {
        "TopicArn": TOPIC,
        "Region": "us-east-1",
        "Protocol": "https",
        "Endpoint": "https://hooks.partner.example/coatcheck",
        "DeliveryPolicy": DELIVERY_POLICY,
        "FilterPolicyScope": "MessageAttributes",
        "RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:555555555555:coatcheck-partner-undelivered"},
    }


def test_retries_end_while_a_notification_is_recent() -> None:
    policy = DELIVERY_POLICY["healthyRetryPolicy"]
    numbers = {name: value for name, value in policy.items() if isinstance(value, int)}
    retries, first = numbers["numRetries"], numbers["numMinDelayRetries"]
    delays = first * numbers["minDelayTarget"] + (retries - first) * numbers["maxDelayTarget"]
    assert numbers["numNoDelayRetries"] + first + numbers["numMaxDelayRetries"] <= retries <= 100
    assert 1800 < delays <= 3600  # SNS's limit, and well beyond its default of a minute
    assert timedelta(seconds=delays + 15 * (retries + 1)) < WINDOW


@pytest.mark.parametrize("principals", [["arn:aws:iam::555555555555:role/hooks"], []], ids=["named", "account"])
def test_reader_role_is_assumed_by_the_files_principals(principals: list[str]) -> None:
    own = template(changed(EVERYWHERE, "partner", reader_principals=principals), "partner")
    (trust,) = statements(own, "AWS::IAM::Role", "AssumeRolePolicyDocument")
    assert trust["Principal"] == {"AWS": "arn:aws:iam::555555555555:root"}
    assert trust.get("Condition") == ({"ArnEquals": {"aws:PrincipalArn": principals}} if principals else None)


def test_stack_runs_no_code(partner: Template) -> None:
    assert {resource["Type"] for resource in without_alarms(partner)["Resources"].values()} == {
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::SNS::Subscription",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
    }
    assert only(partner, "AWS::IAM::Role")["Properties"]["RoleName"] == "coatcheck-partner-reader"


def test_outputs_are_the_endpoints_settings(partner: Template) -> None:
    outputs = partner["Outputs"]
    assert set(outputs) == {"ReaderRoleArn", "TopicArn", "TrustedStores", "UndeliveredQueueUrl"}
    assert outputs["TopicArn"]["Value"] == TOPIC
    (store,) = json.loads(outputs["TrustedStores"]["Value"])
    assert store["bucket"] == "coatcheck-payloads-111111111111-us-east-1"
    assert store["replicas"] == [{"bucket": "coatcheck-payloads-111111111111-us-west-2", "region": "us-west-2"}]
