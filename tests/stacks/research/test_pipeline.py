"""Pipelines: the definition, the roles, the schedule, and the job environment in SSM."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from access.template import UnresolvedError
from research import launch
from research.jobs.qc_metrics.qc import command
from research.processing_job import Environment
from stacks.deployment import ResearchDeployment
from stacks.deployment.research import QC_PARAMETERS
from tests.research.job_environment import validate
from tests.research.pipeline_execution import UnknownParameter, processing_jobs
from tests.stacks.policies import Template, only
from tests.stacks.research.environments import (
    load_example,
    logical_id,
    research_template,
    with_changes,
)
from tests.templates import ROOT

Synth = Callable[[ResearchDeployment], Template]
ACCOUNT = "555555555555"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/coatcheck--qc"
DIGEST = f"sha256:{'0' * 64}"


def text(value: Any) -> str:
    """Return a joined text, with plausible values for those that are known only at deployment."""
    match value:
        case str():
            return value
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(text(part) for part in parts)
        case {"Ref": name} if str(name).startswith("Data"):
            return f"coatcheck-research-{ACCOUNT}-us-east-1"
        case {"Ref": "AWS::URLSuffix"}:
            return "amazonaws.com"
        case {"Ref": "AWS::Partition"}:
            return "aws"
        case {"Ref": name}:
            return str(name)
        case {"Fn::GetAtt": [_, "Digest"]}:
            return DIGEST
        case {"Fn::GetAtt": [name, "Arn"]} if "Repository" in name:
            return f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/coatcheck-research/pegasus"
        case {"Fn::GetAtt": [name, "Arn"]} if str(name).startswith("RolesProcessing"):
            return f"arn:aws:iam::{ACCOUNT}:role/coatcheck-processing"
        case {"Fn::GetAtt": [name, "Arn"]}:
            return f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{name}"
        case {"Fn::GetAtt": [name, "GroupId"]}:
            return f"sg-{name}"
        case {"Fn::Select": [index, {"Fn::Split": [separator, whole]}]}:
            return text(whole).split(separator)[int(index)]
    raise UnresolvedError(str(value))


def definition(template: Template) -> dict[str, Any]:
    body = only(template, "AWS::SageMaker::Pipeline")["Properties"]["PipelineDefinition"]["PipelineDefinitionBody"]
    parsed: dict[str, Any] = json.loads(text(body))
    return parsed


def qc(template: Template, **parameters: Any) -> dict[str, Any]:
    (job,) = processing_jobs(definition(template), parameters, execution="abcdefghijkl")
    return job


def test_parameter_contains_the_job_environment(pipeline_template: Template) -> None:
    parameter = only(pipeline_template, "AWS::SSM::Parameter")["Properties"]
    assert parameter["Name"] == "/coatcheck/research"
    environment = Environment.from_parameter(text(parameter["Value"]), parameter["Name"])
    assert environment.bucket == f"coatcheck-research-{ACCOUNT}-us-east-1"
    assert environment.processing_image == (
        f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/{logical_id(pipeline_template, 'AWS::ECR::Repository')}@{DIGEST}"
    )


def test_step_is_the_launchers_job(pipeline_template: Template) -> None:
    """The same request, except for the addresses of script and output."""
    step = qc(pipeline_template, Input="s3://b/cells.h5", InstanceType="ml.t3.xlarge")
    assert validate(step) == ""
    parameter = only(pipeline_template, "AWS::SSM::Parameter")["Properties"]
    code = step["ProcessingInputs"][1]["S3Input"]["S3Uri"]
    launched = launch.request(
        Environment.from_parameter(text(parameter["Value"]), parameter["Name"]),
        name="coatcheck--qc--job",
        script=launch.SCRIPT,
        data="s3://b/cells.h5",
        arguments=step["AppSpecification"]["ContainerArguments"],
        instance_type="ml.t3.xlarge",
    )
    launched["ProcessingInputs"][1]["S3Input"]["S3Uri"] = code
    launched["AppSpecification"]["ContainerEntrypoint"][1] = f"/opt/ml/processing/input/code/{code.rpartition('/')[2]}"
    output = f"s3://coatcheck-research-{ACCOUNT}-us-east-1/shared/qc/output/abcdefghijkl"
    launched["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = output
    assert step == launched


def test_step_runs_the_image_of_its_pipeline() -> None:
    images = load_example("research-images.toml")
    template = research_template(with_changes(images, {"pipelines": [{"name": "qc", "image": "r"}]}))
    parameter = only(template, "AWS::SSM::Parameter")["Properties"]
    environment = Environment.from_parameter(text(parameter["Value"]), parameter["Name"])
    assert environment.processing_image == environment.other_images["pegasus"] != environment.other_images["r"]
    assert qc(template)["AppSpecification"]["ImageUri"] == environment.other_images["r"]


def test_execution_has_its_own_parameters_and_output(pipeline_template: Template) -> None:
    step = qc(pipeline_template, PercentMito=5, MinUmis="1000", Sample="donor 1")
    assert step["AppSpecification"]["ContainerArguments"] == [
        *("--data-set", "none", "--sample", "donor 1", "--sample-by", "none", "--matrix", "none", "--genome", "none"),
        *("--transpose", "auto", "--fractions", "no", "--min-genes-before", "none", "--min-genes", "500"),
        *("--max-genes", "6000", "--min-umis", "1000", "--max-umis", "none", "--mito-prefix", "MT-"),
        *("--percent-mito", "5", "--mads", "none"),
    ]
    (other,) = processing_jobs(definition(pipeline_template), {}, execution="zyxwvutsrqpo")
    assert qc(pipeline_template)["ProcessingOutputConfig"] != other["ProcessingOutputConfig"]
    with pytest.raises(UnknownParameter, match="PercentMitto: not in Input, Output"):
        qc(pipeline_template, PercentMitto=5)


def test_default_parameters_are_the_scripts_defaults(pipeline_template: Template) -> None:
    options = command._parser().parse_args(qc(pipeline_template)["AppSpecification"]["ContainerArguments"])
    assert options == command._parser().parse_args([])
    assert list(QC_PARAMETERS) == [name for name in vars(options) if name != "base_dir"]
    assert ROOT / "research" / "jobs" / "qc_metrics" == launch.SCRIPT


def test_parameters_follow_the_script(synth: Synth, example: ResearchDeployment) -> None:
    pipelines = [{"name": "sum", "script": "research/launch.py", "parameters": {"per_cent": 2.5, "how": "fast"}}]
    template = synth(with_changes(example, {"pipelines": pipelines}))
    assert qc(template)["AppSpecification"]["ContainerArguments"] == ["--per-cent", "2.5", "--how", "fast"]
    kinds = {parameter["Name"]: parameter["Type"] for parameter in definition(template)["Parameters"]}
    assert kinds == dict.fromkeys(("Input", "Output", "InstanceType", "How"), "String") | {"PerCent": "Float"}
