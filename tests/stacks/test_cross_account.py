"""Statements that cross an account, on the resource's side."""

import json
from typing import Any

import pytest

from stacks import cross_account
from stacks.deployment import Deployment, parse_messaging
from stacks.deployment.names import Names
from stacks.deployment.quotas import SUBSCRIBERS_AND_SENDERS
from tests.stacks.conftest import publisher_template
from tests.stacks.policies import Template, every_statement, only, resources, statements, with_sid, without_alarms
from tests.stacks.subscriber.support import EXAMPLE, changed, template

BUCKET = "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1"
VIA_S3 = {"kms:ViaService": "s3.us-east-1.amazonaws.com", "kms:EncryptionContext:aws:s3:arn": BUCKET}


@pytest.fixture(scope="module")
def publisher(templates: dict[str, Template]) -> Template:
    return without_alarms(templates["coatcheck-publisher"])


def test_reader_roles_get_payloads(publisher: Template) -> None:
    policy = statements(publisher, "AWS::S3::BucketPolicy")
    assert with_sid(policy, "ReadPayloadsOrders") == {
        "Sid": "ReadPayloadsOrders",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Action": "s3:GetObject",
        "Resource": f"{BUCKET}/payloads/*",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::222222222222:role/coatcheck-orders-reader"]},
        },
    }
    assert with_sid(policy, "ReadPayloadsBilling")["Condition"]["ArnEquals"]["aws:PrincipalArn"] == [
        "arn:aws:iam::333333333333:role/coatcheck-billing-reader",
        "arn:aws:iam::333333333333:role/coatcheck-billing-task",
    ]
    allowed = {statement.get("Sid") for statement in policy if statement["Effect"] == "Allow"}
    assert allowed == {"ReadPayloadsOrders", "ReadPayloadsBilling", "UploadShop"}


def test_reader_roles_decrypt_through_s3_for_that_bucket(publisher: Template) -> None:
    policy = statements(publisher, "AWS::KMS::Key", "KeyPolicy")
    assert with_sid(policy, "DecryptPayloadsOrders") == {
        "Sid": "DecryptPayloadsOrders",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::222222222222:role/coatcheck-orders-reader"]},
            "StringEquals": VIA_S3,
        },
    }


def test_copying_roles_decrypt_through_s3_of_either_region() -> None:
    """S3 of the landing bucket's Region makes the copy. Which of the two uses the key is not documented."""
    landing = changed(EXAMPLE, "orders", landing={"retention_days": 7})
    services = ["s3.us-east-1.amazonaws.com", "s3.us-west-2.amazonaws.com"]
    key = statements(publisher_template(landing), "AWS::KMS::Key", "KeyPolicy")
    assert with_sid(key, "DecryptPayloadsOrders")["Condition"]["StringEquals"] == {**VIA_S3, "kms:ViaService": services}
    role = [
        statement
        for statement in every_statement(template(landing, "orders"))
        if statement.get("Sid") == "DecryptPayloads"
    ]
    assert len(role) == 2
    assert all(statement["Condition"]["StringEquals"]["kms:ViaService"] == services for statement in role)


def test_sender_uploads_to_its_own_folder(publisher: Template) -> None:
    shop = "arn:aws:iam::444444444444:role/coatcheck-shop-sender"
    assert with_sid(statements(publisher, "AWS::S3::BucketPolicy"), "UploadShop") == {
        "Sid": "UploadShop",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::444444444444:root"},
        "Action": ["s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl"],
        "Resource": f"{BUCKET}/outbox/shop/*",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": shop},
            "StringEqualsIfExists": {"s3:x-amz-acl": "bucket-owner-full-control"},
        },
    }
    encrypt = with_sid(statements(publisher, "AWS::KMS::Key", "KeyPolicy"), "EncryptUploadsShop")
    assert encrypt["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert encrypt["Condition"] == {"ArnEquals": {"aws:PrincipalArn": shop}, "StringEquals": VIA_S3}


def test_unreadable_uploads_are_denied(publisher: Template) -> None:
    policy = statements(publisher, "AWS::S3::BucketPolicy")
    archived, other_key = with_sid(policy, "DenyArchivedUploads"), with_sid(policy, "DenyUploadsWithOtherKey")
    for statement in (archived, other_key):
        assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:PutObject")
        assert statement["Resource"] == f"{BUCKET}/outbox/*"
    assert archived["Condition"] == {"StringEquals": {"s3:x-amz-storage-class": ["GLACIER", "DEEP_ARCHIVE"]}}
    key = only(publisher, "AWS::S3::Bucket")["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    key_arn = key[0]["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    assert other_key["Condition"] == {
        "StringEquals": {"s3:x-amz-server-side-encryption": ["aws:kms", "aws:kms:dsse"]},
        "StringNotEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": key_arn},
    }
    # Senders of other accounts are restricted by the account that S3 reports.
    assert "DenyOtherWriters" not in {statement.get("Sid") for statement in policy}


def test_subscriber_subscribes_its_own_endpoint_alone(publisher: Template) -> None:
    policy = statements(publisher, "AWS::SNS::TopicPolicy")
    endpoints = {
        "SubscribeOrders": ("sqs", "arn:aws:sqs:us-west-2:222222222222:coatcheck-orders"),
        "SubscribeBilling": ("lambda", "arn:aws:lambda:us-east-1:333333333333:function:coatcheck-billing-consume"),
    }
    for sid, (protocol, endpoint) in endpoints.items():
        condition = {"StringEquals": {"sns:Protocol": protocol, "sns:Endpoint": endpoint}}
        assert with_sid(policy, sid)["Condition"] == condition
    orders = with_sid(policy, "SubscribeOrders")
    assert (orders["Principal"], orders["Action"]) == ({"AWS": "arn:aws:iam::222222222222:root"}, "sns:Subscribe")
    deny = with_sid(policy, "DenyUnknownEndpoints")
    assert deny["Effect"] == "Deny"
    assert deny["Condition"]["StringNotEquals"]["sns:Endpoint"] == [endpoint for _, endpoint in endpoints.values()]
    # The topic's policy allows no publication: the publisher's roles have that in their own policies.
    assert {statement["Action"] for statement in policy if statement["Effect"] == "Allow"} == {"sns:Subscribe"}


def test_sender_account_puts_events(publisher: Template) -> None:
    statement = only(publisher, "AWS::Events::EventBusPolicy")["Properties"]["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::444444444444:root"}
    assert statement["Action"] == "events:PutEvents"
    assert statement["Resource"] == "arn:aws:events:us-east-1:111111111111:event-bus/coatcheck"
    assert "Condition" not in statement


def test_sender_bus_accepts_reports_of_the_publish_role_alone(templates: dict[str, Template]) -> None:
    bus = "arn:aws:events:us-east-1:444444444444:event-bus/coatcheck-shop-sender"
    statement = only(templates["coatcheck-shop-sender"], "AWS::Events::EventBusPolicy")["Properties"]["Statement"]
    assert statement == {
        "Sid": "ReportFromPublisher",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
        "Action": "events:PutEvents",
        "Resource": bus,
        "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/coatcheck-publish"}},
    }
    role = with_sid(statements(templates["coatcheck-publisher"], "AWS::IAM::Policy"), "ReportToSenders")
    assert (role["Action"], role["Resource"]) == ("events:PutEvents", bus)


def test_senders_of_one_account_share_the_bus_statement(example: Deployment) -> None:
    """Each sender has its own folder. A sender in the publisher's account is no exception."""
    accounts = {"shop": "444444444444", "web-shop": "444444444444", "own": example.publisher.account}
    senders = [{"name": name, "account": account} for name, account in accounts.items()]
    publisher = publisher_template(parse_messaging(json.loads(example.model_dump_json()) | {"senders": senders}))
    bus = resources(publisher, "AWS::Events::EventBusPolicy").values()
    assert sorted(policy["Properties"]["StatementId"] for policy in bus) == [
        "coatcheck-111111111111",
        "coatcheck-444444444444",
    ]
    # CloudFormation makes the calls one after the other.
    assert [len(policy.get("DependsOn", ())) for policy in bus] == [0, 1]
    policy = statements(publisher, "AWS::S3::BucketPolicy")
    for name, sid in (("shop", "UploadShop"), ("web-shop", "UploadWebShop"), ("own", "UploadOwn")):
        assert with_sid(policy, sid)["Resource"] == f"{BUCKET}/outbox/{name}/*"
        role = with_sid(policy, sid)["Condition"]["ArnEquals"]["aws:PrincipalArn"]
        assert role == f"arn:aws:iam::{accounts[name]}:role/coatcheck-{name}-sender"
    # In the publisher's account, roles need no permission of the bucket: no other role writes to the sender's folder.
    denied = with_sid(policy, "DenyOtherWriters")
    assert (denied["Effect"], denied["Action"]) == ("Deny", "s3:PutObject")
    assert denied["Resource"] == f"{BUCKET}/outbox/own/*"
    own = f"arn:aws:iam::{example.publisher.account}:role/coatcheck-own-sender"
    assert denied["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": [own]}}


def test_organization_is_a_condition_of_every_statement(example: Deployment) -> None:
    table = json.loads(example.model_dump_json()) | {"organization": "o-a1b2c3d4e5"}
    others = ("222222222222:root", "333333333333:root", "444444444444:root")
    crossing = [
        statement
        for statement in every_statement(publisher_template(parse_messaging(table)))
        if statement["Effect"] == "Allow" and str(statement.get("Principal", {}).get("AWS", "")).endswith(others)
    ]
    # Read, decrypt and subscribe for each of two subscribers; put events, upload and encrypt for one sender.
    assert len(crossing) == 9
    for statement in crossing:
        assert statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"] == "o-a1b2c3d4e5"


def test_service_principals_name_their_source(templates: dict[str, Template]) -> None:
    for own in templates.values():
        for permission in resources(own, "AWS::Lambda::Permission").values():
            assert permission["Properties"]["SourceArn"]
        for statement in statements(own, "AWS::SQS::QueuePolicy"):
            if statement["Effect"] == "Allow":
                assert "aws:SourceArn" in statement["Condition"]["ArnEquals"]


def test_no_statement_allows_all_principals(templates: dict[str, Template]) -> None:
    found = [statement for own in templates.values() for statement in every_statement(own)]
    assert len(found) > 50
    for statement in found:
        if statement["Effect"] == "Allow":
            assert statement.get("Principal") not in ("*", {"AWS": "*"}, {"AWS": ["*"]}), statement


def size(policy: object) -> int:
    return len(json.dumps(policy, separators=(",", ":")))


def test_policies_fit_the_maximum_number_of_subscribers(example: Deployment) -> None:
    """A bucket policy has at most 20 KB, a key policy 32 KB; with the longest possible names."""
    table = json.loads(example.model_dump_json()) | {"name": "c" * 22, "organization": "o-" + "a" * 32}
    subscriber, table["senders"] = table["subscribers"][0] | {"landing": {}}, []
    table["subscribers"] = [subscriber | {"name": f"s{'x' * 5}{n:02}"} for n in range(SUBSCRIBERS_AND_SENDERS)]
    deployment = parse_messaging(table)
    names = Names(deployment)
    assert all(len(subscriber.landing_bucket.name) > 60 for subscriber in names.subscribers.values())
    for statement, kilobytes in ((cross_account.read_payloads, 20), (cross_account.decrypt_payloads, 32)):
        policy = [
            statement(
                names.publisher.payload_bucket, subscriber, organization=deployment.organization
            ).to_statement_json()
            for subscriber in names.subscribers.values()
        ]
        # One KB is reserved for the other statements: the owner's, and the denial of requests without TLS.
        assert size(policy) < (kilobytes - 1) * 1024


LONGEST = {
    # The longest deployment name (limited by the bucket's name), with the longest sender names (limited by the role's).
    "senders": {
        "name": "c" * 26,
        "senders": [{"name": f"s{i:029}", "account": f"{i % 25:012}"} for i in range(28)],
        "subscribers": [{"name": "o", "kind": "sqs", "account": "1" * 12, "landing": {}}],
    },
    # Senders in the publisher's account, which count twice.
    "own senders": {
        "name": "c" * 26,
        "senders": [{"name": f"s{i:029}", "account": "1" * 12} for i in range(14)],
        "subscribers": [{"name": "o", "kind": "sqs", "account": "1" * 12, "landing": {}}],
    },
    # Subscribers with two reader roles.
    "subscribers": {
        "name": "coatcheck",
        "subscribers": [
            {"name": f"s{i:016}", "kind": "lambda", "account": f"{i:012}", "task": {"image": f"a@sha256:{0:064}"}}
            for i in range(29)
        ],
    },
}


@pytest.mark.parametrize("ephemeral", [False, True])
@pytest.mark.parametrize("table", LONGEST.values(), ids=LONGEST)
def test_largest_deployment_fits_every_policy(table: dict[str, Any], ephemeral: bool) -> None:
    """The limits of `stacks/deployment/quotas.py`, with the longest names, in the partition with the longest ARNs."""
    template = publisher_template(
        parse_messaging(
            {
                **table,
                "ephemeral": ephemeral,
                "organization": "o-" + "a" * 32,
                "publisher": {"account": "1" * 12, "region": "us-gov-west-1"},
                "subscribers": [{**subscriber, "region": "us-gov-west-1"} for subscriber in table["subscribers"]],
            }
        )
    )

    def sizes(kind: str, document: str) -> list[int]:
        return [size(resource["Properties"].get(document)) for resource in resources(template, kind).values()]

    assert 11_000 < max(sizes("AWS::S3::BucketPolicy", "PolicyDocument")) <= 20 * 1024 - 500
    assert 7_000 < max(sizes("AWS::KMS::Key", "KeyPolicy")) <= 32 * 1024
    assert max(sizes("AWS::SNS::TopicPolicy", "PolicyDocument")) <= 30 * 1024
    assert sum(sizes("AWS::Events::EventBusPolicy", "Statement")) <= 10 * 1024
    assert max(sizes("AWS::Lambda::Function", "Environment")) <= 4 * 1024
