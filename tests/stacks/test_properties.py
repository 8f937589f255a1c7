"""Properties that only AWS would miss: the emulator drops most of them without a word, so each is asserted here."""

import json

from tests.stacks.policies import Template, every_statement, only, resources


def test_an_inbox_keeps_payloads_as_long_as_the_publisher(templates: dict[str, Template]) -> None:
    for stack in ("coatcheck-orders", "coatcheck-billing"):
        (rule,) = only(templates[stack], "AWS::S3::Bucket")["Properties"]["LifecycleConfiguration"]["Rules"]
        assert rule["ExpirationInDays"] == 101


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
