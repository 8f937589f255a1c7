"""Pipelines: parameters and images. tests/policies proves the definition and all else."""

import json
from typing import Any

import pytest

from local.environment import ROOT
from research import launch
from research.jobs.qc_metrics.qc import command
from research.processing_job import Environment
from stacks.deployment import ResearchDeployment
from stacks.deployment.research import QC_PARAMETERS
from tests.research.pipeline_execution import UnknownParameter, processing_jobs
from tests.stacks.policies import Template, resolved
from tests.stacks.research.environments import load_example, research_template, with_changes


def definition(template: Template) -> dict[str, Any]:
    body = resolved(template, "AWS::SageMaker::Pipeline")["PipelineDefinition"]["PipelineDefinitionBody"]
    parsed: dict[str, Any] = json.loads(body)
    return parsed


def qc(template: Template, **parameters: Any) -> dict[str, Any]:
    (job,) = processing_jobs(definition(template), parameters, execution="abcdefghijkl")
    return job


def test_step_runs_the_image_of_its_pipeline() -> None:
    images = load_example("research-images.toml")
    template = research_template(with_changes(images, {"pipelines": [{"name": "qc", "image": "r"}]}))
    parameter = resolved(template, "AWS::SSM::Parameter")
    environment = Environment.from_parameter(parameter["Value"], parameter["Name"])
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


def test_parameters_follow_the_script(example: ResearchDeployment) -> None:
    pipelines = [{"name": "sum", "script": "research/launch.py", "parameters": {"per_cent": 2.5, "how": "fast"}}]
    template = research_template(with_changes(example, {"pipelines": pipelines}))
    assert qc(template)["AppSpecification"]["ContainerArguments"] == ["--per-cent", "2.5", "--how", "fast"]
    kinds = {parameter["Name"]: parameter["Type"] for parameter in definition(template)["Parameters"]}
    assert kinds == dict.fromkeys(("Input", "Output", "InstanceType", "How"), "String") | {"PerCent": "Float"}
