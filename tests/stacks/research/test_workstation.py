"""The administrator's workstation."""

import json

from tests.stacks.policies import Template, only, resources, statements


def test_workstation_is_optional(template: Template) -> None:
    assert not resources(template, "AWS::SageMaker::NotebookInstance")
    assert not resources(template, "AWS::Scheduler::Schedule")


def test_workstation_is_private_and_stopped_every_day(several_template: Template) -> None:
    instance = only(several_template, "AWS::SageMaker::NotebookInstance")["Properties"]
    assert instance["RootAccess"] == "Disabled"
    assert instance["DirectInternetAccess"] == "Disabled"
    assert instance["InstanceMetadataServiceConfiguration"] == {"MinimumInstanceMetadataServiceVersion": "2"}
    assert instance["SubnetId"] == "subnet-0123456789abcdef0"
    assert instance["KmsKeyId"]
    schedule = only(several_template, "AWS::Scheduler::Schedule")["Properties"]
    assert schedule["ScheduleExpression"] == "cron(0 18 * * ? *)"
    assert schedule["Target"]["Arn"].endswith(":aws-sdk:sagemaker:stopNotebookInstance")
    assert json.loads(schedule["Target"]["Input"]) == {"NotebookInstanceName": instance["NotebookInstanceName"]}


def test_workstation_role_names_its_resources(several_template: Template) -> None:
    """The steps of the post: images, configurations, the domain."""
    own = {
        statement["Sid"]: statement
        for statement in statements(several_template, "AWS::IAM::Policy")
        if statement.get("Sid") in ("MakeImages", "ConfigureImages", "AttachImages", "PassRoles")
    }
    assert len(own) == 4
    for statement in own.values():
        assert statement["Resource"] != "*"
        assert "*" not in str(statement["Action"])
    assert own["PassRoles"]["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert own["AttachImages"]["Resource"] == {"Fn::GetAtt": ["Domain", "DomainArn"]}
