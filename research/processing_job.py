"""The definition of a processing job, for the launcher, the pipelines, and the runner on one machine.

    S3 data -> /opt/ml/processing/input/data ┐
    S3 code -> /opt/ml/processing/input/code ┴ python3 code/<script> <arguments> -> /opt/ml/processing/output -> S3

`Rscript` runs a script with the ending `.R`, in an image that has R.

The launcher passes strings. A pipeline passes references such as `{"Get": "Parameters.…"}`, and CDK passes tokens.
Therefore the functions of this module pass values on without reading them, except for a type that is a string.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from research.instance_types import has_local_storage

PROCESSING = "/opt/ml/processing"
DATA = f"{PROCESSING}/input/data"
CODE = f"{PROCESSING}/input/code"
OUTPUT = f"{PROCESSING}/output"


class NotConfigured(Exception):
    """A setting of the job environment is unknown. The message names it and its source."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The job environment that the research stack provides, so that scripts need not contain these values."""

    bucket: Any
    """Name of the data bucket."""
    key: Any
    """ARN of the KMS key of bucket and volumes."""
    job_prefix: Any
    """Beginning of every job's name."""
    processing_role: Any
    """ARN of the role that jobs run as."""
    subnets: Sequence[Any]
    security_group: Any
    processing_image: Any
    """Address of the image that jobs run, by digest."""
    other_images: Mapping[str, Any] = field(default_factory=dict)
    """Addresses of further images for jobs, by the name in the deployment file with underscores for hyphens."""

    @classmethod
    def of(cls, values: Mapping[str, str], source: str) -> Environment:
        """Return the environment from variables such as `RESEARCH_BUCKET`.

        Args:
            values: The variables.
            source: The origin of the variables, for the error message.

        Raises:
            NotConfigured: A variable is missing or empty.
        """
        settings = {name: values.get(variable(name), "") for name in _NAMES}
        if missing := [variable(name) for name, value in settings.items() if not value]:
            hint = ""
            if missing == [variable("processing_image")]:
                hint = " No image of the deployment file has processing = true."
            raise NotConfigured(f"{', '.join(missing)}: not in {source}.{hint}")
        begin = f"{variable('processing_image')}_"
        others = {name.removeprefix(begin).lower(): values[name] for name in values if name.startswith(begin)}
        return cls(**{**settings, "subnets": settings["subnets"].split(",")}, other_images=others)

    @classmethod
    def from_parameter(cls, value: str, name: str) -> Environment:
        """Return the environment from the value of the stack's SSM parameter `name`."""
        return cls.of(json.loads(value), f"the parameter {name}")

    def variables(self) -> dict[str, Any]:
        """Return the variables that `of` reads."""
        values = {variable(name): getattr(self, name) for name in _NAMES}
        others = {variable(f"processing_image_{name}"): uri for name, uri in self.other_images.items()}
        return {**values, variable("subnets"): ",".join(self.subnets), **others}


_NAMES = [each.name for each in fields(Environment) if each.name != "other_images"]


def variable(field: str) -> str:
    """Return the name of a field of `Environment` in a Studio app's environment and in the SSM parameter."""
    return f"RESEARCH_{field.upper()}"


def parameter_name(deployment: str) -> str:
    """Return the name of the SSM parameter with the `Environment` of a deployment, as JSON."""
    return f"/{deployment}/research"


def request(
    environment: Environment,
    *,
    name: Any,
    script: str,
    code: Any,
    data: Any,
    output: Any,
    arguments: Sequence[Any] = (),
    instance_type: Any = "ml.m5.xlarge",
    volume_gb: int = 30,
    maximum_minutes: int = 60,
    image: Any = None,
    network: bool = False,
) -> dict[str, Any]:
    """Return the request to CreateProcessingJob.

    Args:
        environment: The job environment.
        name: The job's name.
        script: The file name of the script.
        code: The s3:// address of the script: a key or a prefix.
        data: The s3:// address of the input: a key or a prefix.
        output: The s3:// address below which SageMaker stores the results.
        arguments: The script's arguments.
        instance_type: The type of the one instance.
        volume_gb: The size of the instance's volume in GB.
        maximum_minutes: The time limit after which SageMaker stops the job.
        image: The address of an image to run instead of the environment's.
        network: Whether the script may call AWS services from the environment's network. Otherwise the container has
            no network, and SageMaker transfers input and results.
    """
    return {
        "ProcessingJobName": name,
        "RoleArn": environment.processing_role,
        "AppSpecification": {
            "ImageUri": image or environment.processing_image,
            "ContainerEntrypoint": ["Rscript" if script.endswith(".R") else "python3", f"{CODE}/{script}"],
            **({"ContainerArguments": list(arguments)} if arguments else {}),
        },
        "ProcessingInputs": [_input("data", data, DATA), _input("code", code, CODE)],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "results",
                    "S3Output": {"S3Uri": output, "LocalPath": OUTPUT, "S3UploadMode": "EndOfJob"},
                }
            ],
            "KmsKeyId": environment.key,
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": instance_type,
                "VolumeSizeInGB": volume_gb,
                **_volume_key(environment, instance_type),
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": maximum_minutes * 60},
        "NetworkConfig": {
            "EnableNetworkIsolation": not network,
            "VpcConfig": {"SecurityGroupIds": [environment.security_group], "Subnets": list(environment.subnets)},
        },
    }


def _volume_key(environment: Environment, instance_type: Any) -> dict[str, Any]:
    # The type of a pipeline's job is a reference. Its role allows types without local storage only.
    if isinstance(instance_type, str) and has_local_storage(instance_type):
        return {}
    return {"VolumeKmsKeyId": environment.key}


def _input(name: str, uri: Any, path: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": path,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }
