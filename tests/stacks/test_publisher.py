"""The publisher's stack: what is stored how, and what is let across the account boundary."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stacks.deployment import Deployment, parse_messaging
from tests.stacks.policies import Template, every_statement, only, resources, statements, with_sid, without_operations

Synth = Callable[[Deployment], dict[str, Template]]


@pytest.fixture(scope="module")
def template(templates: dict[str, Template]) -> Template:
    return without_operations(templates["coatcheck-publisher"])


def test_the_bucket_is_private_encrypted_and_forgets(template: Template) -> None:
    properties = only(template, "AWS::S3::Bucket")["Properties"]
    assert properties["BucketName"] == "coatcheck-payloads-111111111111-us-east-1"
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert rule["BucketKeyEnabled"] is True
    assert properties["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    rules = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    assert rules["ExpirePayloads"] | {"Prefix": "payloads/", "ExpirationInDays": 101} == rules["ExpirePayloads"]
    assert rules["AbortUnfinishedUploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    # What waits in the outbox is not yet published, so it never expires as long as it is current.
    assert not [r for r in rules.values() if "ExpirationInDays" in r and r.get("Prefix") != "payloads/"]


def test_the_key_rotates(template: Template) -> None:
    assert only(template, "AWS::KMS::Key")["Properties"]["EnableKeyRotation"] is True


def test_the_topic_is_encrypted_with_that_key(template: Template) -> None:
    (key,) = resources(template, "AWS::KMS::Key")
    properties = only(template, "AWS::SNS::Topic")["Properties"]
    assert properties["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert properties["MaximumMessageSize"] == 262_144


@pytest.mark.parametrize(("threshold", "maximum"), [(1024, 262_144), (300_000, 300_000)])
def test_the_topic_takes_what_the_threshold_lets_through(
    synth: Synth, example: Deployment, threshold: int, maximum: int
) -> None:
    table = json.loads(example.model_dump_json())
    table["publisher"]["maximum_message_bytes"] = threshold
    table["subscribers"] = [s for s in table["subscribers"] if s["kind"] == "sqs"]
    publisher = synth(parse_messaging(table))["coatcheck-publisher"]
    assert only(without_operations(publisher), "AWS::SNS::Topic")["Properties"]["MaximumMessageSize"] == maximum
    (publish,) = (
        each["Properties"]
        for each in resources(publisher, "AWS::Lambda::Function").values()
        if each["Properties"].get("FunctionName") == "coatcheck-publish"
    )
    assert publish["Environment"]["Variables"]["THRESHOLD_BYTES"] == str(threshold)


def test_readers_of_payloads(template: Template) -> None:
    policy = statements(template, "AWS::S3::BucketPolicy")
    assert with_sid(policy, "ReadPayloadsOrders") == {
        "Sid": "ReadPayloadsOrders",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1/payloads/*",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::222222222222:role/coatcheck-orders-reader"]},
        },
    }
    assert with_sid(policy, "ReadPayloadsBilling")["Condition"]["ArnEquals"]["aws:PrincipalArn"] == [
        "arn:aws:iam::333333333333:role/coatcheck-billing-reader",
        "arn:aws:iam::333333333333:role/coatcheck-billing-task",
    ]
    assert {s.get("Sid") for s in policy if s["Effect"] == "Allow"} == {
        "ReadPayloadsOrders",
        "ReadPayloadsBilling",
        "UploadShop",
    }
    (deny,) = (s for s in policy if s["Effect"] == "Deny")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert deny["Action"] == "s3:*"


def test_readers_decrypt_through_s3_for_that_bucket_only(template: Template) -> None:
    policy = statements(template, "AWS::KMS::Key", "KeyPolicy")
    assert with_sid(policy, "DecryptPayloadsOrders") == {
        "Sid": "DecryptPayloadsOrders",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::222222222222:root"},
        "Action": "kms:Decrypt",
        "Resource": "*",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::222222222222:role/coatcheck-orders-reader"]},
            "StringEquals": {
                "kms:ViaService": "s3.us-east-1.amazonaws.com",
                "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1",
            },
        },
    }


def test_a_sender_uploads_to_its_own_folder(template: Template) -> None:
    shop = "arn:aws:iam::444444444444:role/coatcheck-shop-sender"
    assert with_sid(statements(template, "AWS::S3::BucketPolicy"), "UploadShop") == {
        "Sid": "UploadShop",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::444444444444:root"},
        "Action": ["s3:AbortMultipartUpload", "s3:PutObject"],
        "Resource": "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1/outbox/shop/*",
        "Condition": {"ArnEquals": {"aws:PrincipalArn": shop}},
    }
    encrypt = with_sid(statements(template, "AWS::KMS::Key", "KeyPolicy"), "EncryptUploadsShop")
    assert encrypt["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert encrypt["Condition"] == {
        "ArnEquals": {"aws:PrincipalArn": shop},
        "StringEquals": {
            "kms:ViaService": "s3.us-east-1.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1",
        },
    }


def test_each_subscriber_subscribes_its_own_endpoint(template: Template) -> None:
    policy = statements(template, "AWS::SNS::TopicPolicy")
    orders = with_sid(policy, "SubscribeOrders")
    assert orders["Principal"] == {"AWS": "arn:aws:iam::222222222222:root"}
    assert orders["Action"] == "sns:Subscribe"
    assert orders["Condition"] == {
        "StringEquals": {
            "sns:Protocol": "sqs",
            "sns:Endpoint": "arn:aws:sqs:us-west-2:222222222222:coatcheck-orders",
        }
    }
    assert with_sid(policy, "SubscribeBilling")["Condition"]["StringEquals"] == {
        "sns:Protocol": "lambda",
        "sns:Endpoint": "arn:aws:lambda:us-east-1:333333333333:function:coatcheck-billing-consume",
    }
    deny = with_sid(policy, "DenyUnknownEndpoints")
    assert deny["Effect"] == "Deny"
    assert deny["Condition"]["StringNotEquals"]["sns:Endpoint"] == [
        "arn:aws:sqs:us-west-2:222222222222:coatcheck-orders",
        "arn:aws:lambda:us-east-1:333333333333:function:coatcheck-billing-consume",
    ]
    assert with_sid(policy, "DenyInsecureTransport")["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    # Nobody is let publish by the topic's policy: the publisher's roles are, by their own.
    assert not [s for s in policy if s["Effect"] == "Allow" and s["Action"] != "sns:Subscribe"]


def test_senders_are_let_onto_the_bus(template: Template) -> None:
    statement = only(template, "AWS::Events::EventBusPolicy")["Properties"]["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::444444444444:root"}
    assert statement["Action"] == "events:PutEvents"
    assert statement["Resource"] == "arn:aws:events:us-east-1:111111111111:event-bus/coatcheck"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "true"}}


def test_both_doors_lead_to_the_publish_function(template: Template) -> None:
    (function,) = resources(template, "AWS::Lambda::Function")
    (dead_letters,) = resources(template, "AWS::SQS::Queue")
    rules = resources(template, "AWS::Events::Rule").values()
    assert len(rules) == 2
    for rule in rules:
        (target,) = rule["Properties"]["Targets"]
        assert target["Arn"] == {"Fn::GetAtt": [function, "Arn"]}
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [dead_letters, "Arn"]}}
    patterns = [rule["Properties"]["EventPattern"] for rule in rules]
    assert {"source": [{"anything-but": {"prefix": "aws."}}]} in patterns
    (outbox,) = (p for p in patterns if "detail" in p)
    assert outbox["detail"]["object"] == {"key": [{"prefix": "outbox/"}]}
    failures = only(template, "AWS::Lambda::EventInvokeConfig")["Properties"]["DestinationConfig"]
    assert failures == {"OnFailure": {"Destination": {"Fn::GetAtt": [dead_letters, "Arn"]}}}


def test_with_detail_types_every_other_event_is_kept_to_be_replayed(synth: Synth, example: Deployment) -> None:
    types = ["order.placed", "order.cancelled"]
    template = synth(with_changes(example, {"detail_types": types}))["coatcheck-publisher"]
    others = [{"anything-but": {"prefix": "aws."}}]
    patterns = [rule["Properties"]["EventPattern"] for rule in resources(template, "AWS::Events::Rule").values()]
    assert {"source": others, "detail-type": types} in patterns
    archive = only(template, "AWS::Events::Archive")
    assert archive["Properties"]["EventPattern"] == {"source": others, "detail-type": [{"anything-but": types}]}
    assert archive["Properties"]["ArchiveName"] == "coatcheck-unmatched"
    assert archive["Properties"]["RetentionDays"] == 30
    assert archive["DeletionPolicy"] == "RetainExceptOnCreate"


def test_without_detail_types_every_event_is_published_and_none_kept(
    template: Template, synth: Synth, example: Deployment
) -> None:
    """By the same archive: what it has stays with it when `detail_types` is taken out, and can be put in again."""
    ((logical, archive),) = resources(template, "AWS::Events::Archive").items()
    pattern = archive["Properties"]["EventPattern"]
    assert pattern == {"source": [{"anything-but": {"prefix": "aws."}}], "detail-type": [{"exists": False}]}
    selective = synth(with_changes(example, {"detail_types": ["order.placed"]}))["coatcheck-publisher"]
    ((same, other),) = resources(selective, "AWS::Events::Archive").items()
    assert same == logical
    assert other["Properties"]["ArchiveName"] == archive["Properties"]["ArchiveName"]


def test_service_principals_name_their_source(templates: dict[str, Template]) -> None:
    for template in templates.values():
        for permission in resources(template, "AWS::Lambda::Permission").values():
            assert permission["Properties"]["SourceArn"]
        for statement in statements(template, "AWS::SQS::QueuePolicy"):
            if statement["Effect"] == "Allow":
                assert "aws:SourceArn" in statement["Condition"]["ArnEquals"]


def test_no_statement_allows_everybody(templates: dict[str, Template]) -> None:
    seen = 0
    for template in templates.values():
        for statement in every_statement(template):
            seen += 1
            if statement["Effect"] == "Allow":
                assert statement.get("Principal") not in ("*", {"AWS": "*"}, {"AWS": ["*"]}), statement
    assert seen > 50


def test_queues_refuse_requests_in_the_clear(templates: dict[str, Template]) -> None:
    for template in templates.values():
        queues = resources(template, "AWS::SQS::Queue")
        denying = [
            p
            for p in resources(template, "AWS::SQS::QueuePolicy").values()
            for s in p["Properties"]["PolicyDocument"]["Statement"]
            if s["Effect"] == "Deny" and s["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        ]
        assert len(denying) == len(queues)


def with_changes(deployment: Deployment, publisher: dict[str, Any] | None = None, **changes: Any) -> Deployment:
    table = json.loads(deployment.model_dump_json())
    table["publisher"] |= publisher or {}
    return parse_messaging(table | changes)


def test_an_organisation_is_asked_for_at_every_boundary(synth: Synth, example: Deployment) -> None:
    template = synth(with_changes(example, organization="o-a1b2c3d4e5"))["coatcheck-publisher"]
    crossing = [
        statement
        for statement in every_statement(template)
        if statement["Effect"] == "Allow"
        and str(statement.get("Principal", {}).get("AWS", "")).endswith(
            ("222222222222:root", "333333333333:root", "444444444444:root")
        )
    ]
    # Read, decrypt and subscribe for each of two subscribers; put events, upload and encrypt for one sender.
    assert len(crossing) == 9
    for statement in crossing:
        assert statement["Condition"]["StringEquals"]["aws:PrincipalOrgID"] == "o-a1b2c3d4e5"


def test_a_fifo_deployment_is_fifo_from_topic_to_dead_letters(synth: Synth, example: Deployment) -> None:
    table = json.loads(example.model_dump_json())
    table["publisher"]["fifo"] = True
    table["subscribers"] = [s for s in table["subscribers"] if s["kind"] == "sqs"]
    templates = synth(parse_messaging(table))
    topic = only(without_operations(templates["coatcheck-publisher"]), "AWS::SNS::Topic")["Properties"]
    assert topic["FifoTopic"] is True
    assert topic["TopicName"] == "coatcheck-messages.fifo"
    queues = [
        queue["Properties"]
        for name in ("coatcheck-orders", "coatcheck-orders-undelivered")
        for queue in resources(templates[name], "AWS::SQS::Queue").values()
    ]
    assert {q["QueueName"]: q.get("FifoQueue") for q in queues} == {
        "coatcheck-orders.fifo": True,
        "coatcheck-orders-dead-letters.fifo": True,
        "coatcheck-orders-undelivered.fifo": True,
    }


STATEFUL = {
    "AWS::S3::Bucket",
    "AWS::KMS::Key",
    "AWS::SQS::Queue",
    "AWS::DynamoDB::GlobalTable",
}


def test_stateful_resources_outlive_their_stack_unless_ephemeral(synth: Synth, example: Deployment) -> None:
    for ephemeral, kept in ((False, "RetainExceptOnCreate"), (True, "Delete")):
        templates = synth(with_changes(example, ephemeral=ephemeral))
        stateful = [
            resource
            for template in templates.values()
            for resource in without_operations(template)["Resources"].values()
            if resource["Type"] in STATEFUL
        ]
        assert len(stateful) == 11
        assert {resource["DeletionPolicy"] for resource in stateful} == {kept}


def test_logical_ids_of_stateful_resources_are_pinned(templates: dict[str, Template]) -> None:
    """CloudFormation would replace, and so lose or orphan, what changes its logical id."""
    ids = {
        stack: sorted(
            name for name, resource in without_operations(template)["Resources"].items() if resource["Type"] in STATEFUL
        )
        for stack, template in templates.items()
    }
    assert ids == {
        "coatcheck-publisher": ["Key961B73FD", "PayloadBucket357F5869", "PublishDeadLettersCD4087F7"],
        "coatcheck-shop-sender": [],
        "coatcheck-orders": ["ConsumerDeadLetterQueue41F42704", "ConsumerStagingBucket52FE3107", "Queue4A7E3555"],
        "coatcheck-orders-undelivered": ["UndeliveredQueue7C6FEA6C"],
        "coatcheck-billing": [
            "ConsumerDeadLetterQueue41F42704",
            "ConsumerStagingBucket52FE3107",
            "IdempotencyTable22A5A209",
            "SubscriptionUndeliveredQueueF96D19D5",
        ],
    }
