"""The stack of an HTTPS subscriber: a role, a queue, a subscription, and nothing that runs."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from claim_check.https import WINDOW
from stacks.deployment import Deployment, load_messaging, parse_messaging
from stacks.subscriber.https_stack import DELIVERY_POLICY
from tests.stacks.policies import Template, only, resources, statements, with_sid, without_operations
from tests.templates import ROOT

TOPIC = "arn:aws:sns:us-east-1:111111111111:coatcheck-messages"
STACK = "coatcheck-partner"


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return load_messaging(ROOT / "deployments" / "everywhere.toml")


@pytest.fixture(scope="module")
def everywhere(synth: Callable[[Deployment], dict[str, Template]], deployment: Deployment) -> dict[str, Template]:
    return synth(deployment)


def test_sns_posts_signed_envelopes_for_an_hour_and_keeps_the_rest(everywhere: dict[str, Template]) -> None:
    assert only(everywhere[STACK], "AWS::SNS::Subscription")["Properties"] == {
        "TopicArn": TOPIC,
        "Region": "us-east-1",
        "Protocol": "https",
        "Endpoint": "https://hooks.partner.example/coatcheck",
        "DeliveryPolicy": DELIVERY_POLICY,
        "RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:555555555555:coatcheck-partner-undelivered"},
    }
    kept = with_sid(statements(everywhere[STACK], "AWS::SQS::QueuePolicy"), "DeliverFromTopic")
    assert kept["Condition"] == {"ArnEquals": {"aws:SourceArn": TOPIC}}


def test_retries_end_while_a_notification_is_recent() -> None:
    policy = DELIVERY_POLICY["healthyRetryPolicy"]
    numbers = {name: value for name, value in policy.items() if isinstance(value, int)}
    tries, first = numbers["numRetries"], numbers["numMinDelayRetries"]
    delays = first * numbers["minDelayTarget"] + (tries - first) * numbers["maxDelayTarget"]
    assert numbers["numNoDelayRetries"] + first + numbers["numMaxDelayRetries"] <= tries <= 100
    assert 1800 < delays <= 3600  # SNS's limit, and well beyond its default of a minute
    assert timedelta(seconds=delays + 15 * (tries + 1)) < WINDOW


def test_the_topic_takes_that_endpoint_from_that_account(everywhere: dict[str, Template]) -> None:
    topic = statements(everywhere["coatcheck-publisher"], "AWS::SNS::TopicPolicy")
    let_in = with_sid(topic, "SubscribePartner")
    assert let_in["Principal"] == {"AWS": "arn:aws:iam::555555555555:root"}
    assert let_in["Condition"] == {
        "StringEquals": {"sns:Protocol": "https", "sns:Endpoint": "https://hooks.partner.example/coatcheck"}
    }
    others = with_sid(topic, "DenyUnknownEndpoints")["Condition"]["StringNotEquals"]["sns:Endpoint"]
    assert "https://hooks.partner.example/coatcheck" in others


@pytest.mark.parametrize(
    ("readers", "condition"),
    [
        (["arn:aws:iam::555555555555:role/hooks"], True),
        ([], False),
    ],
)
def test_the_role_is_the_named_processes_or_the_accounts(
    readers: list[str],
    condition: bool,
    deployment: Deployment,
    synth: Callable[[Deployment], dict[str, Template]],
) -> None:
    table = json.loads(deployment.model_dump_json(exclude_none=True))
    table["subscribers"][1]["reader_principals"] = readers
    (trust,) = statements(synth(parse_messaging(table))[STACK], "AWS::IAM::Role", "AssumeRolePolicyDocument")
    assert trust["Principal"] == {"AWS": "arn:aws:iam::555555555555:root"}
    assert trust.get("Condition") == ({"ArnEquals": {"aws:PrincipalArn": readers}} if condition else None)


def test_nothing_runs_there(everywhere: dict[str, Template]) -> None:
    kinds = {resource["Type"] for resource in without_operations(everywhere[STACK])["Resources"].values()}
    assert kinds == {
        "AWS::IAM::Policy",
        "AWS::IAM::Role",
        "AWS::SNS::Subscription",
        "AWS::SQS::Queue",
        "AWS::SQS::QueuePolicy",
    }
    (role,) = resources(everywhere[STACK], "AWS::IAM::Role").values()
    assert role["Properties"]["RoleName"] == "coatcheck-partner-reader"
    stores = json.loads(everywhere[STACK]["Outputs"]["TrustedStores"]["Value"])
    assert [store["bucket"] for store in stores] == ["coatcheck-payloads-111111111111-us-east-1"]
