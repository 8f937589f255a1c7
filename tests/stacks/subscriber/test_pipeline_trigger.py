"""The function that starts a research pipeline with each payload."""

from typing import Any

import pytest

from stacks.deployment import load_messaging
from tests.stacks.policies import Template, resources
from tests.stacks.subscriber.support import DEPLOYMENTS, find_one, template

DEPLOYMENT = load_messaging(DEPLOYMENTS / "research-messages.toml")
PIPELINE = "arn:aws:sagemaker:us-east-1:555555555555:pipeline/coatcheck--qc"
ROLE = "coatcheck-datasets-pipeline-trigger"


@pytest.fixture(scope="module")
def datasets() -> Template:
    return template(DEPLOYMENT, "datasets")


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
    assert properties["Environment"]["Variables"]["PIPELINE"] == "coatcheck--qc"


def test_pipeline_results_are_forwarded_to_the_bus(datasets: Template) -> None:
    rule = the_rule(datasets, "ExecutionRule")
    assert "EventBusName" not in rule, "SageMaker puts its events on the account's default bus"
    assert rule["EventPattern"]["source"] == ["aws.sagemaker"]
    assert rule["EventPattern"]["detail"] == {
        "pipelineArn": [PIPELINE],
        "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
    }
