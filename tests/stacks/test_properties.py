"""Properties that only AWS would miss: the emulator drops most of them without a word, so each is asserted here."""

import json

import pytest
from aws_cdk import App

from app import add_stacks
from stacks.deployment import Deployment, parse_messaging
from tests.stacks.policies import Template, every_statement, only, ours, resources, statements
from tests.templates import WITHOUT_CODE

STACKS = (
    "coatcheck-publisher",
    "coatcheck-shop-sender",
    "coatcheck-orders",
    "coatcheck-orders-undelivered",
    "coatcheck-billing",
)


def test_every_bucket_is_private_encrypted_and_over_tls(templates: dict[str, Template]) -> None:
    buckets = [(t, b["Properties"]) for t in templates.values() for b in resources(t, "AWS::S3::Bucket").values()]
    assert len(buckets) == 3
    for template, bucket in buckets:
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4
        assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] in ("aws:kms", "AES256")
        denies = [s for s in statements(template, "AWS::S3::BucketPolicy") if s["Effect"] == "Deny"]
        assert [s["Condition"] for s in denies] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_uploads_are_told_apart_by_version_and_outlive_being_overwritten(templates: dict[str, Template]) -> None:
    bucket = only(templates["coatcheck-publisher"], "AWS::S3::Bucket")["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
    overwritten = rules["ExpireOverwrittenUploads"]
    assert overwritten["Prefix"] == "outbox/"
    assert overwritten["NoncurrentVersionExpiration"] == {"NoncurrentDays": 101}
    old = [
        r for r in rules.values() if "NoncurrentVersionExpiration" in r and r["Prefix"] not in ("outbox/", "payloads/")
    ]
    assert old == []


def test_an_inbox_keeps_payloads_as_long_as_the_publisher(templates: dict[str, Template]) -> None:
    for stack in ("coatcheck-orders", "coatcheck-billing"):
        (rule,) = only(templates[stack], "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
        assert rule["ExpirationInDays"] == 101


def test_every_queue_is_encrypted_and_dead_letters_wait_two_weeks(templates: dict[str, Template]) -> None:
    queues = [q["Properties"] for t in templates.values() for q in resources(t, "AWS::SQS::Queue").values()]
    assert len(queues) == 6
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues)
    retention = {queue["QueueName"]: queue["MessageRetentionPeriod"] for queue in queues}
    assert retention.pop("coatcheck-orders") == 4 * 86_400
    assert set(retention.values()) == {14 * 86_400}


def test_every_dead_letter_queue_has_an_alarm_that_tells_at_once(templates: dict[str, Template]) -> None:
    alarms = [a["Properties"] for t in templates.values() for a in resources(t, "AWS::CloudWatch::Alarm").values()]
    alarms = [alarm for alarm in alarms if alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"]
    assert len(alarms) == 5
    for alarm in alarms:
        assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Period"]) == (1, 1, 60)
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"


def test_functions_have_time_room_and_logs(templates: dict[str, Template]) -> None:
    for stack, timeout in (("coatcheck-publisher", 900), ("coatcheck-orders", 300), ("coatcheck-billing", 300)):
        template = templates[stack]
        function = next(each for each in ours(template) if each["FunctionName"].endswith(("-consume", "-publish")))
        assert (function["Timeout"], function["MemorySize"]) == (timeout, 1024)
        log_group = function["LoggingConfig"]["LogGroup"]["Ref"]
        writing = [s for s in every_statement(template) if "logs:PutLogEvents" in s["Action"]]
        assert {"Fn::GetAtt": [log_group, "Arn"]} in [statement["Resource"] for statement in writing]


def test_an_execution_keeps_no_data_in_its_log(templates: dict[str, Template]) -> None:
    machine = only(templates["coatcheck-orders"], "AWS::StepFunctions::StateMachine")["Properties"]
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["StateMachineType"] == "STANDARD"


def test_a_function_writes_into_the_inlined_part_of_its_own_inbox_alone(templates: dict[str, Template]) -> None:
    for stack in ("coatcheck-orders", "coatcheck-billing"):
        putting = [s for s in every_statement(templates[stack]) if "s3:PutObject" in s["Action"]]
        (statement,) = putting
        (inbox,) = resources(templates[stack], "AWS::S3::Bucket")
        assert statement["Resource"] == {"Fn::Join": ["", [{"Fn::GetAtt": [inbox, "Arn"]}, "/inline/*"]]}


def test_nothing_is_subscribed_before_it_can_take_messages(templates: dict[str, Template]) -> None:
    for stack, needed in (
        ("coatcheck-orders", "AWS::SQS::QueuePolicy"),
        ("coatcheck-billing", "AWS::Lambda::Permission"),
    ):
        template = templates[stack]
        waits_for = {
            template["Resources"][name]["Type"] for name in only(template, "AWS::SNS::Subscription")["DependsOn"]
        }
        assert needed in waits_for


def test_a_task_gets_out_and_reads_both_buckets(templates: dict[str, Template]) -> None:
    template = templates["coatcheck-billing"]
    (egress,) = only(template, "AWS::EC2::SecurityGroup")["Properties"]["SecurityGroupEgress"]
    assert (egress["CidrIp"], egress["IpProtocol"]) == ("0.0.0.0/0", "-1")
    policies = resources(template, "AWS::IAM::Policy").values()
    (task_policy,) = (
        p["Properties"]["PolicyDocument"]["Statement"]
        for p in policies
        if str(p["Properties"]["Roles"][0]["Ref"]).startswith("TaskRole")
    )
    reading = json.dumps([s["Resource"] for s in task_policy if "s3:GetObject" in json.dumps(s["Action"])])
    assert "payloads/*" in reading
    assert "/inline/*" in reading


@pytest.mark.parametrize("ephemeral", [False, True])
def test_the_publisher_is_protected_and_the_redrive_stack_comes_along(example: Deployment, ephemeral: bool) -> None:
    app = App(context=WITHOUT_CODE)
    add_stacks(app, example.model_copy(update={"ephemeral": ephemeral}))
    stacks = {stack.stack_name: stack for stack in app.synth().stacks}
    assert set(stacks) == set(STACKS)
    assert bool(stacks["coatcheck-publisher"].termination_protection) is not ephemeral
    # A subscriber that was deployed too early has to be deletable, to be tried again.
    assert not any(stacks[name].termination_protection for name in STACKS[1:])
    assert "coatcheck-orders-undelivered" in [d.id for d in stacks["coatcheck-orders"].dependencies]


def test_a_subscriber_in_the_publishers_account_is_deployed_after_it(example: Deployment) -> None:
    table = json.loads(example.model_dump_json())
    table["subscribers"][1]["account"] = table["publisher"]["account"]
    app = App(context=WITHOUT_CODE)
    add_stacks(app, parse_messaging(table))
    stacks = {stack.stack_name: stack for stack in app.synth().stacks}
    assert "coatcheck-publisher" in [d.id for d in stacks["coatcheck-billing"].dependencies]
    assert "coatcheck-publisher" not in [d.id for d in stacks["coatcheck-orders"].dependencies]
