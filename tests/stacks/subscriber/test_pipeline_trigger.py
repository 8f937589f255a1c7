"""The function that starts a research pipeline with each payload."""

from typing import Any

import pytest

from stacks.deployment import load_messaging
from tests.stacks.policies import Template, resources, with_sid
from tests.stacks.subscriber.support import DEPLOYMENTS, find_one, template
from tests.templates import synthesize

DEPLOYMENT = load_messaging(DEPLOYMENTS / "research-messages.toml")
DATA = "arn:aws:s3:::coatcheck-research-555555555555-us-east-1"
PIPELINE = "arn:aws:sagemaker:us-east-1:555555555555:pipeline/coatcheck-qc"
ROLE = "coatcheck-datasets-pipeline-trigger"


@pytest.fixture(scope="module")
def datasets() -> Template:
    return template(DEPLOYMENT, "datasets")


def test_trigger_role_may_read_the_publishers_payloads() -> None:
    (publisher,) = (stack.template for stack in synthesize(DEPLOYMENT) if stack.name == "coatcheck-publisher")
    policies = resources(publisher, "AWS::S3::BucketPolicy").values()
    assert any(f"arn:aws:iam::555555555555:role/{ROLE}" in str(policy) for policy in policies)


def test_trigger_writes_data_sets_and_starts_one_pipeline(datasets: Template) -> None:
    role, _ = find_one(datasets, "AWS::IAM::Role", RoleName=ROLE)
    (policy,) = (
        resource["Properties"]["PolicyDocument"]["Statement"]
        for resource in resources(datasets, "AWS::IAM::Policy").values()
        if resource["Properties"]["Roles"] == [{"Ref": role}]
    )
    assert with_sid(policy, "PutDataSets")["Resource"] == f"{DATA}/shared/qc/messages/*"
    assert with_sid(policy, "StartPipeline")["Resource"] == PIPELINE
    assert with_sid(policy, "EncryptDataSets")["Condition"] == {
        "StringEquals": {
            "kms:ViaService": "s3.us-east-1.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": DATA,
        }
    }


def the_rule(template: Template, id: str) -> dict[str, Any]:
    (rule,) = (rule for name, rule in resources(template, "AWS::Events::Rule").items() if id in name)
    return dict(rule["Properties"])


def test_trigger_is_invoked_for_each_processed_payload(datasets: Template) -> None:
    bus, _ = find_one(datasets, "AWS::Events::EventBus", Name="coatcheck-datasets")
    function, properties = find_one(datasets, "AWS::Lambda::Function", FunctionName=ROLE)
    rule = the_rule(datasets, "ProcessedRule")
    assert rule["EventBusName"] == {"Ref": bus}
    assert rule["EventPattern"] == {"source": ["coatcheck"], "detail-type": ["Payload processed"]}
    assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": [function, "Arn"]}]
    assert properties["Environment"]["Variables"]["PIPELINE"] == "coatcheck-qc"


def test_pipeline_results_are_forwarded_to_the_bus(datasets: Template) -> None:
    rule = the_rule(datasets, "ExecutionRule")
    assert "EventBusName" not in rule, "SageMaker puts its events on the account's default bus"
    assert rule["EventPattern"]["source"] == ["aws.sagemaker"]
    assert rule["EventPattern"]["detail"] == {
        "pipelineArn": [PIPELINE],
        "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
    }
