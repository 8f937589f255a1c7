"""The administrator's workstation: a notebook instance with Docker, to build and attach an image by hand.

No other resource needs it, because images are built in the account. Its role has only the
permissions to push, register and attach the deployment's images.
"""

from collections.abc import Sequence

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.common.findings import acknowledge_wildcards
from stacks.common.grants import allow, grant_pull_push
from stacks.deployment import ResearchNames
from stacks.deployment.research import ImageConfig, WorkstationConfig
from stacks.research.domain import StudioDomain
from stacks.research.network import ResearchNetwork
from stacks.research.roles import Roles
from stacks.research.sagemaker_role import SageMakerRole
from stacks.research.schedule import add_schedule


class Workstation(Construct):
    """A notebook instance in the VPC, without root access, with IMDSv2, stopped every day."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: ResearchNames,
        settings: WorkstationConfig,
        images: Sequence[ImageConfig],
        key: kms.IKey,
        network: ResearchNetwork,
        roles: Roles,
        domain: StudioDomain,
        repositories: Sequence[ecr.IRepository],
    ) -> None:
        super().__init__(scope, id)
        account, name = names.place.account, names.workstation
        assert network.workstation
        role = SageMakerRole(self, "Role", account=account)
        for repository in repositories:
            grant_pull_push(repository, role)
        _grant_images(role, names, images)
        allow(
            role,
            sid="AttachImages",
            actions=["sagemaker:UpdateDomain", "sagemaker:DescribeDomain"],
            resources=[domain.attr_domain_arn],
        )
        allow(
            role,
            sid="PassRoles",
            actions=["iam:PassRole"],
            resources=[roles.image.role_arn, roles.default.role_arn, roles.shared.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        )
        instance = sagemaker.CfnNotebookInstance(
            self,
            "Instance",
            notebook_instance_name=name,
            instance_type=settings.instance_type,
            role_arn=role.role_arn,
            platform_identifier="notebook-al2023-v1",
            subnet_id=network.subnet_ids[0],
            security_group_ids=[network.workstation.security_group_id],
            direct_internet_access="Disabled",
            root_access="Disabled",
            instance_metadata_service_configuration=(
                sagemaker.CfnNotebookInstance.InstanceMetadataServiceConfigurationProperty(
                    minimum_instance_metadata_service_version="2"
                )
            ),
            kms_key_id=key.key_id,
            volume_size_in_gb=settings.volume_gb,
        )
        instance.node.add_dependency(role)
        arn = names.place.named("sagemaker", name, "notebook-instance/").arn
        add_schedule(
            self,
            "Stop",
            account=account,
            description=f"Stops {name}. Logs an error if it is stopped already.",
            expression=f"cron(0 {settings.stop_hour_utc} * * ? *)",
            target_arn=f"arn:{names.place.partition}:scheduler:::aws-sdk:sagemaker:stopNotebookInstance",
            permission=iam.PolicyStatement(sid="Stop", actions=["sagemaker:StopNotebookInstance"], resources=[arn]),
            key=key,
            input=f'{{"NotebookInstanceName": "{name}"}}',
        )


def _grant_images(role: iam.IRole, names: ResearchNames, images: Sequence[ImageConfig]) -> None:
    """Allow the role to create versions and configurations of the deployment's SageMaker images."""
    pairs = [(image, app) for image in images for app in image.apps]
    if not pairs:
        return
    sagemaker_images = [names.sagemaker_image(image, app) for image, app in pairs]
    versions = [names.place.named("sagemaker", f"{image.name}/*", "image-version/").arn for image in sagemaker_images]
    allow(
        role,
        sid="MakeImages",
        actions=[
            "sagemaker:CreateImage",
            "sagemaker:CreateImageVersion",
            "sagemaker:DescribeImage",
            "sagemaker:DescribeImageVersion",
        ],
        resources=[
            arn for image, version in zip(sagemaker_images, versions, strict=True) for arn in (image.arn, version)
        ],
    )
    acknowledge_wildcards(role, {"Versions of the deployment's images: SageMaker numbers them.": versions})
    allow(
        role,
        sid="ConfigureImages",
        actions=[
            "sagemaker:CreateAppImageConfig",
            "sagemaker:UpdateAppImageConfig",
            "sagemaker:DescribeAppImageConfig",
        ],
        resources=[names.app_image_config(image, app).arn for image, app in pairs],
    )
