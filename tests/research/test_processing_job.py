"""The request to CreateProcessingJob and the job environment."""

from dataclasses import replace
from typing import Any

import pytest

from research.processing_job import Environment, NotConfigured, request
from tests.research.job_environment import ENVIRONMENT, VARIABLES, validate


def example(**options: Any) -> dict[str, Any]:
    return request(
        ENVIRONMENT,
        name="coatcheck-qc-1",
        script="script.py",
        code="s3://b/code/script.py",
        data="s3://b/cells.h5",
        output="s3://b/output",
        **options,
    )


@pytest.mark.parametrize(
    "options", [{}, {"arguments": ["--percent-mito", "5"], "network": True, "maximum_minutes": 5, "image": "x"}]
)
def test_request_is_valid(options: dict[str, Any]) -> None:
    assert validate(example(**options)) == ""


def test_request_uses_key_and_network_of_the_environment() -> None:
    body = example(arguments=["--percent-mito", "5"], instance_type="ml.t3.xlarge")
    assert body["RoleArn"] == VARIABLES["RESEARCH_PROCESSING_ROLE"]
    assert body["AppSpecification"] == {
        "ImageUri": VARIABLES["RESEARCH_PROCESSING_IMAGE"],
        "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/script.py"],
        "ContainerArguments": ["--percent-mito", "5"],
    }
    inputs = [(entry["S3Input"]["S3Uri"], entry["S3Input"]["LocalPath"]) for entry in body["ProcessingInputs"]]
    assert inputs == [
        ("s3://b/cells.h5", "/opt/ml/processing/input/data"),
        ("s3://b/code/script.py", "/opt/ml/processing/input/code"),
    ]
    (output,) = body["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://b/output"
    assert body["ProcessingOutputConfig"]["KmsKeyId"] == VARIABLES["RESEARCH_KEY"]
    assert body["ProcessingResources"]["ClusterConfig"] == {
        "InstanceCount": 1,
        "InstanceType": "ml.t3.xlarge",
        "VolumeSizeInGB": 30,
        "VolumeKmsKeyId": VARIABLES["RESEARCH_KEY"],
    }
    assert body["NetworkConfig"] == {
        "EnableNetworkIsolation": True,
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]},
    }


def test_types_with_local_storage_have_no_volume_key() -> None:
    """SageMaker rejects a key for them. The hardware encrypts their disks."""
    cluster = example(instance_type="ml.g5.xlarge")["ProcessingResources"]["ClusterConfig"]
    assert "VolumeKmsKeyId" not in cluster


def test_environment_has_images_by_name() -> None:
    names = {"pegasus": "1.dkr.ecr/p@sha256:1", "r_4": "1.dkr.ecr/r@sha256:2"}
    environment = replace(ENVIRONMENT, other_images=names)
    assert environment.variables()["RESEARCH_PROCESSING_IMAGE_R_4"] == names["r_4"]
    assert Environment.of(environment.variables(), "the test") == environment


def test_script_of_r_runs_with_rscript() -> None:
    body = request(ENVIRONMENT, name="n", script="my.R", code="s3://b/code/my.R", data="s3://b/d", output="s3://b/o")
    assert body["AppSpecification"]["ContainerEntrypoint"] == ["Rscript", "/opt/ml/processing/input/code/my.R"]


def test_environment_names_missing_variables() -> None:
    with pytest.raises(NotConfigured, match="RESEARCH_KEY, RESEARCH_SUBNETS: not in the parameter"):
        Environment.of({**VARIABLES, "RESEARCH_KEY": "", "RESEARCH_SUBNETS": ""}, "the parameter")
    without_image = {name: value for name, value in VARIABLES.items() if name != "RESEARCH_PROCESSING_IMAGE"}
    with pytest.raises(NotConfigured, match="No image of the deployment file has processing = true"):
        Environment.of(without_image, "the parameter")
