"""The subscribers' stacks."""

import json
from collections.abc import Callable

from stacks.deployment import Deployment
from tests.stacks.policies import Template, consume, every_statement, only, ours, resources, statements, with_sid

TOPIC = "arn:aws:sns:us-east-1:111111111111:coatcheck-messages"


def function_environment(template: Template) -> dict[str, object]:
    return consume(template)["Environment"]["Variables"]  # type: ignore[no-any-return]


def test_the_queue_takes_from_the_topic_alone(templates: dict[str, Template]) -> None:
    delivered = with_sid(statements(templates["coatcheck-orders"], "AWS::SQS::QueuePolicy"), "DeliverFromTopic")
    assert delivered["Principal"] == {"Service": "sns.amazonaws.com"}
    assert delivered["Action"] == "sqs:SendMessage"
    assert delivered["Condition"] == {"ArnEquals": {"aws:SourceArn": TOPIC}}


def test_a_subscription_across_regions_is_made_where_the_topic_is(templates: dict[str, Template]) -> None:
    subscription = only(templates["coatcheck-orders"], "AWS::SNS::Subscription")["Properties"]
    assert subscription == {
        "TopicArn": TOPIC,
        "Region": "us-east-1",
        "Protocol": "sqs",
        "Endpoint": "arn:aws:sqs:us-west-2:222222222222:coatcheck-orders",
        "RawMessageDelivery": True,
        # SNS asks for the topic's Region and the subscriber's account.
        "RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:222222222222:coatcheck-orders-undelivered"},
    }
    redrive = templates["coatcheck-orders-undelivered"]
    assert only(redrive, "AWS::SQS::Queue")["Properties"]["QueueName"] == "coatcheck-orders-undelivered"
    assert with_sid(statements(redrive, "AWS::SQS::QueuePolicy"), "DeliverFromTopic")["Condition"] == {
        "ArnEquals": {"aws:SourceArn": TOPIC}
    }


def test_the_queue_waits_longer_than_the_function_may_take(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-orders"]
    queue = next(
        q["Properties"]
        for q in resources(template, "AWS::SQS::Queue").values()
        if q["Properties"]["QueueName"] == "coatcheck-orders"
    )
    timeout = consume(template)["Timeout"]
    assert queue["VisibilityTimeout"] >= 6 * timeout
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 5


def test_the_batch_fails_record_by_record(templates: dict[str, Template]) -> None:
    mapping = only(templates["coatcheck-orders"], "AWS::Lambda::EventSourceMapping")["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 10}
    assert mapping["BatchSize"] == 5


def test_readers_carry_the_contracts_names_and_rights(templates: dict[str, Template]) -> None:
    for stack, readers in (
        ("coatcheck-orders", {"coatcheck-orders-reader"}),
        ("coatcheck-billing", {"coatcheck-billing-reader", "coatcheck-billing-task"}),
    ):
        template = templates[stack]
        named = {
            role["Properties"]["RoleName"]
            for role in resources(template, "AWS::IAM::Role").values()
            if "RoleName" in role["Properties"]
        }
        assert named == readers
        reading = [s for s in every_statement(template) if s.get("Sid") == "ReadPayloads"]
        decrypting = [s for s in every_statement(template) if s.get("Sid") == "DecryptPayloads"]
        assert len(reading) == len(decrypting) == len(readers)
        for statement in reading:
            assert statement["Action"] == "s3:GetObject"
            assert statement["Resource"] == "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1/payloads/*"
        for statement in decrypting:
            assert statement["Action"] == "kms:Decrypt"
            assert statement["Resource"] == "arn:aws:kms:us-east-1:111111111111:key/*"
            assert statement["Condition"]["StringEquals"] == {
                "kms:ViaService": "s3.us-east-1.amazonaws.com",
                "kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::coatcheck-payloads-111111111111-us-east-1",
            }


def test_functions_trust_the_publishers_store_alone(templates: dict[str, Template]) -> None:
    for stack in ("coatcheck-orders", "coatcheck-billing"):
        stores = json.loads(str(function_environment(templates[stack])["TRUSTED_STORES"]))
        assert stores == [
            {
                "bucket": "coatcheck-payloads-111111111111-us-east-1",
                "prefix": "payloads/",
                "owner": "111111111111",
                "region": "us-east-1",
            }
        ]


def test_the_function_is_invoked_by_the_topic_alone(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    permission = only(template, "AWS::Lambda::Permission")["Properties"]
    assert permission["Principal"] == "sns.amazonaws.com"
    assert permission["SourceArn"] == TOPIC
    subscription = only(template, "AWS::SNS::Subscription")["Properties"]
    assert subscription["Protocol"] == "lambda"
    assert subscription["Endpoint"] == "arn:aws:lambda:us-east-1:333333333333:function:coatcheck-billing-consume"
    assert "RawMessageDelivery" not in subscription


def test_what_the_function_cannot_handle_is_kept(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    destination = only(template, "AWS::Lambda::EventInvokeConfig")["Properties"]["DestinationConfig"]["OnFailure"]
    dead_letters = destination["Destination"]["Fn::GetAtt"][0]
    assert template["Resources"][dead_letters]["Properties"]["QueueName"] == "coatcheck-billing-dead-letters"


def test_what_was_handed_on_is_remembered_for_as_long_as_it_can_come_again(
    templates: dict[str, Template], synth: Callable[[Deployment], dict[str, Template]], example: Deployment
) -> None:
    template = templates["coatcheck-billing"]
    assert function_environment(template)["IDEMPOTENCY_SECONDS"] == str(101 * 24 * 3600)
    # A payload inside its message comes late whatever is left of those in S3.
    short = example.publisher.model_copy(update={"payload_lifetime_days": 2, "accept_expired_pointers": True})
    forgetful = synth(example.model_copy(update={"publisher": short}))["coatcheck-billing"]
    assert function_environment(forgetful)["IDEMPOTENCY_SECONDS"] == str(82 * 24 * 3600)
    table = only(template, "AWS::DynamoDB::GlobalTable")["Properties"]
    assert table["TableName"] == "coatcheck-billing-idempotency"
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


def test_functions_are_arm_python_3_14_with_logs_that_expire(templates: dict[str, Template]) -> None:
    functions = [function for template in templates.values() for function in ours(template)]
    assert len(functions) == 4
    for function in functions:
        assert function["Runtime"] == "python3.14"
        assert function["Architectures"] == ["arm64"]
    groups = [g for t in templates.values() for g in resources(t, "AWS::Logs::LogGroup").values()]
    assert {group["Properties"]["RetentionInDays"] for group in groups} == {30}


def test_services_assume_roles_for_their_own_account_only(templates: dict[str, Template]) -> None:
    checked = 0
    for template in templates.values():
        for statement in statements(template, "AWS::IAM::Role", "AssumeRolePolicyDocument"):
            service = statement["Principal"].get("Service", "")
            # Lambda sends no source with its request, so that a condition on one would lock the function out.
            if service in ("states.amazonaws.com", "ecs-tasks.amazonaws.com") and "Condition" in statement:
                assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] in ("222222222222", "333333333333")
                checked += 1
    assert checked == 4


def test_the_tasks_network_lets_nothing_in(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    assert "SecurityGroupIngress" not in only(template, "AWS::EC2::SecurityGroup")["Properties"]
    assert not resources(template, "AWS::EC2::SecurityGroupIngress")
    assert not resources(template, "AWS::EC2::NatGateway")
