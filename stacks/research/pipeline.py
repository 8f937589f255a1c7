"""A script that runs by itself: a SageMaker pipeline of one step, the processing job that the launcher starts too."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_scheduler as scheduler
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from research import processing_job
from stacks.common.findings import acknowledge_wildcards
from stacks.deployment import BaseDeployment, names
from stacks.deployment.research import PipelineConfig as Settings
from stacks.deployment.research import ResearchConfig
from stacks.research.roles import Roles

VERSION = "2020-12-01"
"""Of the pipeline definition's schema."""
TYPES = {int: "Integer", float: "Float", str: "String"}


class Pipeline(Construct):
    """`Input`, `Output`, `InstanceType` and the script's own parameters can be given to each execution."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        research: ResearchConfig,
        pipeline: Settings,
        environment: processing_job.Environment,
        roles: Roles,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._research, self._pipeline = deployment, research, pipeline
        self._arn = names.pipeline_arn(deployment, research, pipeline)
        script = Asset(self, "Script", path=str(pipeline.file))
        _let_read(roles.processing, script)
        role = self._role(roles)
        definition = {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": parameters(pipeline, environment.bucket),
            "Steps": [
                {
                    "Name": "Run",
                    "Type": "Processing",
                    "Arguments": processing_job.request(
                        environment,
                        # The beginning of each job's name: SageMaker adds the execution and the step to it.
                        name=names.pipeline(deployment, pipeline),
                        script=script.s3_object_key,
                        code=script.s3_object_url,
                        data=_get("Input"),
                        output={
                            "Std:Join": {
                                "On": "/",
                                "Values": [_get("Output"), {"Get": "Execution.PipelineExecutionId"}],
                            }
                        },
                        arguments=arguments(pipeline),
                        instance_type=_get("InstanceType"),
                        volume_gb=pipeline.volume_gb,
                        maximum_minutes=pipeline.maximum_minutes,
                    ),
                }
            ],
        }
        self.pipeline = sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=names.pipeline(deployment, pipeline),
            pipeline_description=f"Runs {pipeline.file.name}",
            pipeline_definition={"PipelineDefinitionBody": Stack.of(self).to_json_string(definition)},
            role_arn=role.role_arn,
        )
        self.pipeline.node.add_dependency(role, roles.processing)
        if pipeline.schedule:
            self._schedule(pipeline.schedule, key)

    def _role(self, roles: Roles) -> iam.Role:
        """Starts the deployment's jobs as the processing role, on the instances that researchers may use."""
        research = self._research
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": research.account}}
            ),
        )
        job = self._arn.replace(":pipeline/", ":processing-job/") + "*"
        for statement in (
            iam.PolicyStatement(
                sid="StartJobs",
                actions=["sagemaker:CreateProcessingJob"],
                resources=[job],
                conditions={
                    "ForAllValues:StringEquals": {"sagemaker:InstanceTypes": list(research.instance_types)},
                    "Null": {"sagemaker:InstanceTypes": "false"},
                },
            ),
            iam.PolicyStatement(
                sid="FollowJobs",
                actions=["sagemaker:AddTags", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"],
                resources=[job],
            ),
            iam.PolicyStatement(
                sid="PassProcessingRole",
                actions=["iam:PassRole"],
                resources=[roles.processing.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            *roles.use_key_for_volumes(),
        ):
            role.add_to_policy(statement)
        acknowledge_wildcards(role, {"Jobs of the pipeline; SageMaker names them.": [job]})
        return role

    def _schedule(self, expression: str, key: kms.IKey) -> None:
        role = iam.Role(
            self,
            "ScheduleRole",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self._research.account}}
            ),
        )
        role.add_to_policy(
            iam.PolicyStatement(sid="Start", actions=["sagemaker:StartPipelineExecution"], resources=[self._arn])
        )
        key.grant_decrypt(role)
        schedule = scheduler.CfnSchedule(
            self,
            "Schedule",
            description=f"Starts {names.pipeline(self._deployment, self._pipeline)} with its default input.",
            schedule_expression=expression,
            schedule_expression_timezone="UTC",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            kms_key_arn=key.key_arn,
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self._arn,
                role_arn=role.role_arn,
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=3),
            ),
        )
        schedule.node.add_dependency(role, self.pipeline)


def parameters(pipeline: Settings, bucket: str) -> list[dict[str, Any]]:
    """What an execution can be given, each with what it has otherwise."""
    folder = f"s3://{bucket}/{names.SHARED}{pipeline.name}"
    values: dict[str, Any] = {
        "input": f"{folder}/input/",
        "output": f"{folder}/output",
        "instance_type": pipeline.instance_type,
        **pipeline.parameters,
    }
    return [{"Name": spelled(name), "Type": TYPES[type(v)], "DefaultValue": v} for name, v in values.items()]


def arguments(pipeline: Settings) -> list[Any]:
    """The script's, as references to the parameters; an argument is text, so a number has to be joined into one."""
    found: list[Any] = []
    for name, value in pipeline.parameters.items():
        reference = _get(spelled(name))
        text = reference if isinstance(value, str) else {"Std:Join": {"On": "", "Values": [reference]}}
        found += [f"--{name.replace('_', '-')}", text]
    return found


def spelled(name: str) -> str:
    """`min_genes` -> `MinGenes`."""
    return "".join(word.capitalize() for word in name.split("_"))


def _get(parameter: str) -> dict[str, str]:
    return {"Get": f"Parameters.{parameter}"}


def _let_read(role: iam.Role, script: Asset) -> None:
    """One object among the deployment's assets: the role has no business with the others."""
    role.add_to_policy(
        iam.PolicyStatement(
            sid=f"ReadScript{script.asset_hash[:8]}",
            actions=["s3:GetObject"],
            resources=[script.bucket.arn_for_objects(script.s3_object_key)],
        )
    )
    role.add_to_policy(
        iam.PolicyStatement(
            sid=f"FindScript{script.asset_hash[:8]}",
            actions=["s3:ListBucket"],
            resources=[script.bucket.bucket_arn],
            conditions={"StringEquals": {"s3:prefix": script.s3_object_key}},
        )
    )
