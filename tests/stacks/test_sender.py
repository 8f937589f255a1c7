"""A sender's stack: one role for one account's applications, the same on both sides of the boundary."""

import json
from collections.abc import Callable
from typing import Any

from stacks.deployment import Deployment
from tests.stacks.policies import Template, only, resources, statements, with_sid

Synth = Callable[[Deployment], dict[str, Template]]
BUCKET = "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1"


def with_senders(deployment: Deployment, *senders: dict[str, Any]) -> Deployment:
    table = json.loads(deployment.model_dump_json())
    return Deployment.parse(table | {"senders": list(senders)})


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


def test_the_largest_deployment_fits_into_every_policy(synth: Synth, example: Deployment) -> None:
    """The limits of stacks/conflicts.py, with names as long as they may be."""
    table = json.loads(example.model_dump_json())
    table["organization"] = "o-" + "a" * 32
    table["publisher"]["region"] = "ap-southeast-2"
    table["senders"] = [{"name": f"s{i:017}", "account": f"{i:012}"} for i in range(20)]
    table["subscribers"] = [
        {"name": f"c{i:017}", "kind": "lambda", "account": f"{i:012}", "region": "ap-southeast-2"} for i in range(20)
    ]
    template = synth(Deployment.parse(table))["coatcheck-publisher"]

    def size(kind: str, document: str) -> int:
        return sum(
            len(json.dumps(each["Properties"][document], separators=(",", ":")))
            for each in resources(template, kind).values()
        )

    assert 15_000 < size("AWS::S3::BucketPolicy", "PolicyDocument") < 20 * 1024
    assert 15_000 < size("AWS::KMS::Key", "KeyPolicy") < 32 * 1024
    assert 5_000 < size("AWS::SNS::TopicPolicy", "PolicyDocument") < 30 * 1024
    assert 5_000 < size("AWS::Events::EventBusPolicy", "Statement") * 25 / 20 < 10 * 1024
