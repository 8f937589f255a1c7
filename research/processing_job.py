"""The processing job that a script runs in: the one definition, for launcher, pipeline, and the runner on one machine.

    S3 data -> /opt/ml/processing/input/data ┐
    S3 code -> /opt/ml/processing/input/code ┴ python3 code/<script> <arguments> -> /opt/ml/processing/output -> S3

Values may be what stands for them: a pipeline puts `{"Get": "Parameters.…"}` where the launcher has a string, and CDK
puts tokens. So nothing here looks into a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

PROCESSING = "/opt/ml/processing"
DATA = f"{PROCESSING}/input/data"
CODE = f"{PROCESSING}/input/code"
OUTPUT = f"{PROCESSING}/output"


class NotConfigured(Exception):
    """What a job needs is not known. The message names it and says where it comes from."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where jobs run, as the research stack has it. Nothing of it is ever written into a script."""

    bucket: Any
    """The data bucket's name."""
    key: Any
    """ARN of the KMS key of bucket and volumes."""
    job_prefix: Any
    """What the name of every job begins with."""
    processing_role: Any
    """ARN of the role that jobs run as."""
    processing_image: Any
    """The image that jobs run, with its digest."""
    subnets: Sequence[Any]
    security_group: Any

    @classmethod
    def of(cls, values: Mapping[str, str], source: str) -> Environment:
        """From `RESEARCH_BUCKET` and so on; `source` says in an error where they were looked for.

        Raises:
            NotConfigured: when one is missing.
        """
        found = {field.name: values.get(variable(field.name), "") for field in fields(cls)}
        if missing := [variable(name) for name, value in found.items() if not value]:
            hint = ""
            if missing == [variable("processing_image")]:
                hint = " No image of the deployment file has processing = true."
            raise NotConfigured(f"{', '.join(missing)}: not in {source}.{hint}")
        return cls(**{**found, "subnets": found["subnets"].split(",")})

    @classmethod
    def from_parameter(cls, value: str, name: str) -> Environment:
        """From the text of the stack's SSM parameter."""
        return cls.of(json.loads(value), f"the parameter {name}")

    def variables(self) -> dict[str, Any]:
        """As `of` takes them."""
        values = {variable(field.name): getattr(self, field.name) for field in fields(self)}
        return {**values, variable("subnets"): ",".join(self.subnets)}


def variable(field: str) -> str:
    """What apps in Studio, and the stack's SSM parameter, call a field of `Environment`."""
    return f"RESEARCH_{field.upper()}"


def parameter_name(deployment: str) -> str:
    """The SSM parameter in which the research stack of a deployment says its `Environment`, as JSON."""
    return f"/{deployment}/research"


def processing_job(
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
    """The request to `CreateProcessingJob`.

    script: the file's name. code, data: where it and the input are in S3, each a key or a prefix. output: the prefix
    that results go to. image: another than the environment's. network: whether the script itself may call AWS services
    from the environment's network; without, it has no network at all, and SageMaker brings data in and results out.
    """
    return {
        "ProcessingJobName": name,
        "RoleArn": environment.processing_role,
        "AppSpecification": {
            "ImageUri": image or environment.processing_image,
            "ContainerEntrypoint": ["python3", f"{CODE}/{script}"],
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
                "VolumeKmsKeyId": environment.key,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": maximum_minutes * 60},
        "NetworkConfig": {
            "EnableNetworkIsolation": not network,
            "VpcConfig": {"SecurityGroupIds": [environment.security_group], "Subnets": list(environment.subnets)},
        },
    }


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
