"""The administrator's workstation. tests/policies proves its role and its isolation."""

import json

from tests.stacks.policies import Template, only, resources


def test_workstation_is_optional(template: Template) -> None:
    assert not resources(template, "AWS::SageMaker::NotebookInstance")
    assert not resources(template, "AWS::Scheduler::Schedule")


def test_workstation_is_private_and_stopped_every_day(several_template: Template) -> None:
    instance = only(several_template, "AWS::SageMaker::NotebookInstance")["Properties"]
    assert instance["SubnetId"] == "subnet-0123456789abcdef0"
    assert instance["KmsKeyId"]
    schedule = only(several_template, "AWS::Scheduler::Schedule")["Properties"]
    assert schedule["ScheduleExpression"] == "cron(0 18 * * ? *)"
    assert schedule["Target"]["Arn"].endswith(":aws-sdk:sagemaker:stopNotebookInstance")
    assert json.loads(schedule["Target"]["Input"]) == {"NotebookInstanceName": instance["NotebookInstanceName"]}
