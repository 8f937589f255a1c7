"""The administrator's workstation: a notebook instance with Docker, for building and attaching an image by hand.

Nothing needs it: images are built in the account. It may do what the deployment does to images, and nothing besides.
"""

from collections.abc import Sequence

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from stacks.common.findings import acknowledge_wildcards
from stacks.deployment import BaseDeployment, names
from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig, WorkstationConfig
from stacks.research.domain import Domain
from stacks.research.network import Network
from stacks.research.roles import Roles


class NotebookInstance(Construct):
    """In the VPC, no root, IMDSv2, stopped every day at an hour."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        research: ResearchConfig,
        workstation: WorkstationConfig,
        key: kms.IKey,
        network: Network,
        roles: Roles,
        domain: Domain,
        repositories: Sequence[ecr.IRepository],
    ) -> None:
        super().__init__(scope, id)
        name = names.workstation(deployment)
        arn = f"arn:{partition(research.region)}:sagemaker:{research.region}:{research.account}"
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": research.account}}
            ),
        )
        for repository in repositories:
            repository.grant_pull_push(role)
        images = [
            (names.sagemaker_image(deployment, image, app), names.app_image_config(deployment, image, app))
            for image in research.images
            for app in image.apps
        ]
        for sid, actions, resources in (
            (
                "MakeImages",
                [
                    "sagemaker:CreateImage",
                    "sagemaker:CreateImageVersion",
                    "sagemaker:DescribeImage",
                    "sagemaker:DescribeImageVersion",
                ],
                [f"{arn}:{kind}/{image}{rest}" for image, _ in images for kind, rest in _IMAGE_KINDS],
            ),
            (
                "ConfigureImages",
                [
                    "sagemaker:CreateAppImageConfig",
                    "sagemaker:UpdateAppImageConfig",
                    "sagemaker:DescribeAppImageConfig",
                ],
                [f"{arn}:app-image-config/{config}" for _, config in images],
            ),
            ("AttachImages", ["sagemaker:UpdateDomain", "sagemaker:DescribeDomain"], [domain.attr_domain_arn]),
        ):
            if resources:
                role.add_to_policy(iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
        role.add_to_policy(
            iam.PolicyStatement(
                sid="PassRoles",
                actions=["iam:PassRole"],
                resources=[roles.image.role_arn, roles.default.role_arn, roles.shared.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            )
        )
        acknowledge_wildcards(
            role,
            {
                "ecr:GetAuthorizationToken is for the whole registry.": ["*"],
                "Versions of the deployment's images; their numbers come later.": [
                    f"{arn}:image-version/{image}/*" for image, _ in images
                ],
            },
        )
        instance = sagemaker.CfnNotebookInstance(
            self,
            "Instance",
            notebook_instance_name=name,
            instance_type=workstation.instance_type,
            role_arn=role.role_arn,
            platform_identifier="notebook-al2023-v1",
            subnet_id=network.subnet_ids[0],
            security_group_ids=[network.security_group.security_group_id],
            direct_internet_access="Disabled",
            root_access="Disabled",
            instance_metadata_service_configuration=(
                sagemaker.CfnNotebookInstance.InstanceMetadataServiceConfigurationProperty(
                    minimum_instance_metadata_service_version="2"
                )
            ),
            kms_key_id=key.key_id,
            volume_size_in_gb=workstation.volume_gb,
        )
        instance.node.add_dependency(role)
        self._stop_daily(f"{arn}:notebook-instance/{name}", name, workstation.stop_hour_utc, research, key)

    def _stop_daily(self, arn: str, name: str, hour: int, research: ResearchConfig, key: kms.IKey) -> None:
        role = iam.Role(
            self,
            "StopRole",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": research.account}}
            ),
        )
        role.add_to_policy(iam.PolicyStatement(sid="Stop", actions=["sagemaker:StopNotebookInstance"], resources=[arn]))
        stop = scheduler.CfnSchedule(
            self,
            "Stop",
            description=f"Stops {name}; it says an error when it is stopped already.",
            schedule_expression=f"cron(0 {hour} * * ? *)",
            schedule_expression_timezone="UTC",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            kms_key_arn=key.key_arn,
            target=scheduler.CfnSchedule.TargetProperty(
                arn=f"arn:{partition(research.region)}:scheduler:::aws-sdk:sagemaker:stopNotebookInstance",
                role_arn=role.role_arn,
                input=f'{{"NotebookInstanceName": "{name}"}}',
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(maximum_retry_attempts=3),
            ),
        )
        stop.node.add_dependency(role)
        key.grant_decrypt(role)


_IMAGE_KINDS = (("image", ""), ("image-version", "/*"))
