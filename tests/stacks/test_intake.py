"""A subscriber that feeds a research pipeline: what is refused, and what its function may do."""

import tomllib
from typing import Any

import pytest

from stacks.deployment import Deployment, DeploymentError, SqsSubscriberConfig, names, parse_messaging
from tests.stacks.policies import resources, with_sid
from tests.templates import ROOT, synthesize

EXAMPLE = (ROOT / "deployments" / "research-messages.toml").read_text()
DATA = "arn:aws:s3:::coatcheck-research-555555555555-us-east-1"


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return parse_messaging(tomllib.loads(EXAMPLE))


@pytest.fixture(scope="module")
def template(deployment: Deployment) -> dict[str, Any]:
    (found,) = (s.template for s in synthesize(deployment) if s.name == "coatcheck-datasets")
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("pipeline", "none"), "subscribers[0].pipeline = 'none': is none of [[research.pipelines]] (qc)"),
        (("account", "666666666666"), "subscribers[0].pipeline = 'qc': the subscriber is in 666666666666 us-east-1"),
        (("region", "us-west-2"), "they have to be in the same account and Region"),
        (("kind", "lambda"), 'is a key of kind = "sqs" only'),
    ],
)
def test_a_pipeline_that_cannot_be_fed_is_refused(change: tuple[str, str], said: str) -> None:
    table = tomllib.loads(EXAMPLE)
    table["subscribers"][0] |= dict([change])
    with pytest.raises(DeploymentError) as refused:
        parse_messaging(table)
    assert said in str(refused.value)


def test_without_research_there_is_nothing_to_feed() -> None:
    table = tomllib.loads(EXAMPLE)
    del table["research"]
    with pytest.raises(DeploymentError, match="there are none"):
        parse_messaging(table)


def test_the_function_reads_as_a_role_of_the_contract(deployment: Deployment) -> None:
    (subscriber,) = deployment.subscribers
    assert isinstance(subscriber, SqsSubscriberConfig)
    role = "arn:aws:iam::555555555555:role/coatcheck-datasets-pipeline-trigger"
    assert role in names.reader_role_arns(deployment, subscriber)
    publisher = next(s.template for s in synthesize(deployment) if s.name == "coatcheck-publisher")
    pinned = [str(each["Properties"]) for each in resources(publisher, "AWS::S3::BucketPolicy").values()]
    assert any(role in policy for policy in pinned)


def test_the_function_puts_data_sets_and_starts_one_pipeline(template: dict[str, Any]) -> None:
    (policy,) = (
        p for n, p in resources(template, "AWS::IAM::Policy").items() if n.startswith("PipelineTriggerFunctionRole")
    )
    found = policy["Properties"]["PolicyDocument"]["Statement"]
    assert with_sid(found, "PutDataSets")["Resource"] == f"{DATA}/shared/qc/messages/*"
    assert with_sid(found, "StartPipeline")["Resource"] == (
        "arn:aws:sagemaker:us-east-1:555555555555:pipeline/coatcheck-qc"
    )
    assert with_sid(found, "EncryptDataSets")["Condition"] == {
        "StringEquals": {
            "kms:ViaService": "s3.us-east-1.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": DATA,
        }
    }


def test_the_bus_tells_what_became_of_executions(template: dict[str, Any]) -> None:
    (rule,) = (r for n, r in resources(template, "AWS::Events::Rule").items() if "ExecutionRule" in n)
    assert "EventBusName" not in rule["Properties"], "SageMaker tells the account's default bus"
    pattern = rule["Properties"]["EventPattern"]
    assert pattern["source"] == ["aws.sagemaker"]
    assert pattern["detail"]["pipelineArn"] == ["arn:aws:sagemaker:us-east-1:555555555555:pipeline/coatcheck-qc"]
    assert pattern["detail"]["currentPipelineExecutionStatus"] == ["Succeeded", "Failed", "Stopped"]
