"""A sender's stack: one role for one account's applications, the same on both sides of the boundary."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stacks.deployment import Deployment, parse_messaging
from tests.stacks.policies import Template, only, resources, statements, with_sid
from tests.templates import synthesize

Synth = Callable[[Deployment], dict[str, Template]]
BUCKET = "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1"


def with_senders(deployment: Deployment, *senders: dict[str, Any]) -> Deployment:
    table = json.loads(deployment.model_dump_json())
    return parse_messaging(table | {"senders": list(senders)})


def test_its_role_is_for_its_own_account(templates: dict[str, Template]) -> None:
    role = only(templates["coatcheck-shop-sender"], "AWS::IAM::Role")["Properties"]
    assert role["RoleName"] == "coatcheck-shop-sender"
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::444444444444:root"}
    assert trust["Action"] == "sts:AssumeRole"


def test_it_puts_events_and_uploads_and_nothing_else(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-shop-sender"]
    policy = statements(template, "AWS::IAM::Policy")
    assert {statement["Sid"] for statement in policy} == {"PutEvents", "Upload", "EncryptUploads"}
    assert with_sid(policy, "PutEvents")["Resource"] == "arn:aws:events:us-east-1:111111111111:event-bus/coatcheck"
    assert with_sid(policy, "Upload")["Resource"] == f"{BUCKET}/outbox/shop/*"
    assert with_sid(policy, "EncryptUploads")["Condition"]["StringEquals"]["kms:EncryptionContext:aws:s3:arn"] == BUCKET
    assert {resource["Type"] for resource in template["Resources"].values()} == {"AWS::IAM::Role", "AWS::IAM::Policy"}


def test_what_its_applications_need_to_know_is_an_output(templates: dict[str, Template]) -> None:
    outputs = templates["coatcheck-shop-sender"]["Outputs"]
    assert outputs["OutboxUri"]["Value"] == "s3://coatcheck-payloads-111111111111-us-east-1/outbox/shop/"
    assert outputs["EventBusArn"]["Value"] == "arn:aws:events:us-east-1:111111111111:event-bus/coatcheck"
    assert "SenderRoleArn" in outputs


def test_senders_of_one_account_have_a_folder_each_and_share_a_statement_on_the_bus(
    synth: Synth, example: Deployment
) -> None:
    """One of them in the publisher's own account: nothing is different."""
    accounts = {"shop": "444444444444", "web-shop": "444444444444", "own": example.publisher.account}
    templates = synth(with_senders(example, *({"name": n, "account": a} for n, a in accounts.items())))
    publisher = templates["coatcheck-publisher"]
    bus = resources(publisher, "AWS::Events::EventBusPolicy").values()
    assert sorted(each["Properties"]["StatementId"] for each in bus) == [
        "cdk-PutEventsFrom111111111111",
        "cdk-PutEventsFrom444444444444",
    ]
    policy = statements(publisher, "AWS::S3::BucketPolicy")
    for name, sid in (("shop", "UploadShop"), ("web-shop", "UploadWebShop"), ("own", "UploadOwn")):
        assert with_sid(policy, sid)["Resource"] == f"{BUCKET}/outbox/{name}/*"
        role = with_sid(policy, sid)["Condition"]["ArnEquals"]["aws:PrincipalArn"]
        assert role == f"arn:aws:iam::{accounts[name]}:role/coatcheck-{name}-sender"
        assert f"coatcheck-{name}-sender" in templates


LONGEST = {
    # What is longest: the deployment's name, limited by the bucket's, and a sender's, by the role's.
    "senders": {
        "name": "c" * 26,
        "senders": [{"name": f"s{i:029}", "account": f"{i % 25:012}"} for i in range(35)],
        "subscribers": [{"name": "o", "kind": "sqs", "account": "1" * 12}],
    },
    # A subscriber with two readers.
    "subscribers": {
        "name": "coatcheck",
        "subscribers": [
            {"name": f"s{i:016}", "kind": "lambda", "account": f"{i:012}", "task": {"image": f"a@sha256:{0:064}"}}
            for i in range(36)
        ],
    },
}


@pytest.mark.parametrize("table", LONGEST.values(), ids=LONGEST)
def test_the_largest_deployment_fits_into_every_policy(table: dict[str, Any]) -> None:
    """The limits of stacks/deployment/checks.py, with names as long as they may be, where ARNs are longest."""
    deployment = parse_messaging(
        {
            **table,
            "organization": "o-" + "a" * 32,
            "publisher": {"account": "1" * 12, "region": "us-gov-west-1"},
            "subscribers": [{**each, "region": "us-gov-west-1"} for each in table["subscribers"]],
        }
    )
    (template,) = (stack.template for stack in synthesize(deployment) if stack.name.endswith("-publisher"))

    def sizes(kind: str, document: str) -> list[int]:
        found = resources(template, kind).values()
        return [len(json.dumps(each["Properties"][document], separators=(",", ":"))) for each in found]

    assert 17_000 < max(sizes("AWS::S3::BucketPolicy", "PolicyDocument")) <= 20 * 1024
    assert 17_000 < max(sizes("AWS::KMS::Key", "KeyPolicy")) <= 32 * 1024
    assert max(sizes("AWS::SNS::TopicPolicy", "PolicyDocument")) <= 30 * 1024
    assert sum(sizes("AWS::Events::EventBusPolicy", "Statement")) <= 10 * 1024
