"""A SageMaker pipeline of one step. The step is the same processing job as the launcher's."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from research import processing_job
from research.script import write
from stacks.common.findings import acknowledge_wildcards
from stacks.deployment import ResearchNames
from stacks.deployment.names import SHARED
from stacks.deployment.research import PipelineConfig
from stacks.research.sagemaker_role import SageMakerRole
from stacks.research.schedule import add_schedule
from stacks.research.studio_policy import volume_key_statements

VERSION = "2020-12-01"
"""Version of the schema of pipeline definitions."""
TYPES = {int: "Integer", float: "Float", str: "String"}


class Pipeline(Construct):
    """A pipeline with the parameters `Input`, `Output`, `InstanceType` and those of the script."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: ResearchNames,
        settings: PipelineConfig,
        instance_types: Sequence[str],
        environment: processing_job.Environment,
        processing_role: iam.Role,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        name, arn = names.pipeline(settings.name).name, names.pipeline(settings.name).arn
        with TemporaryDirectory() as folder:  # CDK copies the file
            script = Asset(self, "Script", path=str(write(settings.file, Path(folder))))
        _grant_read_script(processing_role, script)
        role = SageMakerRole(self, "Role", account=names.place.account)
        job = names.pipeline_job(settings.name)
        _grant_jobs(role, names, job, instance_types, processing_role, key)
        definition = _definition(job, settings, environment, script)
        self.pipeline = sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=name,
            pipeline_description=f"Runs {settings.file.name}",
            pipeline_definition={"PipelineDefinitionBody": Stack.of(self).to_json_string(definition)},
            role_arn=role.role_arn,
        )
        self.pipeline.node.add_dependency(role, processing_role)
        if settings.schedule:
            start = iam.PolicyStatement(sid="Start", actions=["sagemaker:StartPipelineExecution"], resources=[arn])
            schedule = add_schedule(
                self,
                "Schedule",
                account=names.place.account,
                description=f"Starts {name} with its default input.",
                expression=settings.schedule,
                target_arn=arn,
                permission=start,
                key=key,
            )
            schedule.node.add_dependency(self.pipeline)


def _definition(
    job_name: str, settings: PipelineConfig, environment: processing_job.Environment, script: Asset
) -> dict[str, Any]:
    job = processing_job.request(
        environment,
        name=job_name,
        script=script.s3_object_key,
        code=script.s3_object_url,
        data=_get("Input"),
        output={"Std:Join": {"On": "/", "Values": [_get("Output"), {"Get": "Execution.PipelineExecutionId"}]}},
        arguments=_arguments(settings),
        instance_type=_get("InstanceType"),
        volume_gb=settings.volume_gb,
        maximum_minutes=settings.maximum_minutes,
        image=environment.other_images.get((settings.image or "").replace("-", "_")),
    )
    return {
        "Version": VERSION,
        "Metadata": {},
        "Parameters": _parameters(settings, environment.bucket),
        "Steps": [{"Name": "Run", "Type": "Processing", "Arguments": job}],
    }


def _parameters(settings: PipelineConfig, bucket: str) -> list[dict[str, Any]]:
    """Return the definition's parameters with their defaults."""
    folder = f"s3://{bucket}/{SHARED}{settings.name}"
    values: dict[str, Any] = {
        "input": f"{folder}/input/",
        "output": f"{folder}/output",
        "instance_type": settings.instance_type,
        **settings.parameters,
    }
    return [
        {"Name": pascal_case(name), "Type": TYPES[type(value)], "DefaultValue": value} for name, value in values.items()
    ]


def _arguments(settings: PipelineConfig) -> list[Any]:
    """Return the script's arguments as references. Arguments are text, so `Std:Join` converts numbers."""
    arguments: list[Any] = []
    for name, value in settings.parameters.items():
        reference = _get(pascal_case(name))
        text = reference if isinstance(value, str) else {"Std:Join": {"On": "", "Values": [reference]}}
        arguments += [f"--{name.replace('_', '-')}", text]
    return arguments


def _get(parameter: str) -> dict[str, str]:
    return {"Get": f"Parameters.{parameter}"}


def pascal_case(name: str) -> str:
    """Return `MinGenes` for `min_genes` and for `MIN_GENES`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _grant_read_script(role: iam.Role, script: Asset) -> None:
    """Allow the role to read the script, and no other asset of the deployment."""
    digest = script.asset_hash[:8]
    role.add_to_policy(
        iam.PolicyStatement(
            sid=f"ReadScript{digest}",
            actions=["s3:GetObject"],
            resources=[script.bucket.arn_for_objects(script.s3_object_key)],
        )
    )
    role.add_to_policy(
        iam.PolicyStatement(
            sid=f"FindScript{digest}",
            actions=["s3:ListBucket"],
            resources=[script.bucket.bucket_arn],
            conditions={"StringEquals": {"s3:prefix": script.s3_object_key}},
        )
    )


def _grant_jobs(
    role: iam.Role,
    names: ResearchNames,
    job_name: str,
    instance_types: Sequence[str],
    processing_role: iam.IRole,
    key: kms.IKey,
) -> None:
    """Allow the pipeline's role to start its jobs as the processing role, on the instance types of researchers."""
    jobs = names.place.named("sagemaker", f"{job_name}-*", "processing-job/").arn
    for statement in (
        iam.PolicyStatement(
            sid="StartJobs",
            actions=["sagemaker:CreateProcessingJob"],
            resources=[jobs],
            conditions={
                "ForAllValues:StringEquals": {"sagemaker:InstanceTypes": list(instance_types)},
                "Null": {"sagemaker:InstanceTypes": "false"},
            },
        ),
        iam.PolicyStatement(
            sid="FollowJobs",
            actions=["sagemaker:AddTags", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"],
            resources=[jobs],
        ),
        iam.PolicyStatement(
            sid="PassProcessingRole",
            actions=["iam:PassRole"],
            resources=[processing_role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        *volume_key_statements(key),
    ):
        role.add_to_policy(statement)
    acknowledge_wildcards(role, {"Jobs of the pipeline: SageMaker creates their names.": [jobs]})
