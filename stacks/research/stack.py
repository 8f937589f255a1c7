"""The research account: what an administrator of the post does by hand, in one stack.

people -- single sign-on --> domain -- spaces, in the image --> data bucket <-- jobs, in the image
Dockerfile -> CodeBuild -> ECR -> SageMaker image, version -> the domain's default settings
"""

from aws_cdk import CfnOutput, Environment, Fn, Stack, Tags
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from research import processing_job
from stacks.common.container_image import ImageBuilder
from stacks.common.defaults import Defaults
from stacks.deployment import Deployment, ResearchDeployment, names
from stacks.deployment.research import ResearchConfig
from stacks.research.budget import MonthlyBudget
from stacks.research.clean_up import CleanUp
from stacks.research.data_bucket import DataBucket
from stacks.research.domain import Domain
from stacks.research.images import Registry, StudioImage
from stacks.research.network import Network
from stacks.research.pipeline import Pipeline
from stacks.research.roles import Roles
from stacks.research.users import People
from stacks.research.workstation import NotebookInstance

TAG = "coatcheck:deployment"
"""On everything in the stack and, handed on by the domain, on what researchers start."""


class ResearchStack(Stack):
    """Stands alone: it needs no other stack of the deployment."""

    @property
    def availability_zones(self) -> list[str]:
        """Two, chosen by CloudFormation: CDK would ask AWS for their names, and synth could not work offline."""
        return [Fn.select(0, Fn.get_azs()), Fn.select(1, Fn.get_azs())]

    def __init__(self, scope: Construct, deployment: Deployment | ResearchDeployment, research: ResearchConfig) -> None:
        super().__init__(
            scope,
            names.research_stack(deployment),
            env=Environment(account=research.account, region=research.region),
            termination_protection=not deployment.ephemeral,
            description="coatcheck: a SageMaker Studio environment with images of one's own.",
        )
        Tags.of(self).add(TAG, deployment.name)
        if research.permissions_boundary:
            iam.PermissionsBoundary.of(self).apply(
                iam.ManagedPolicy.from_managed_policy_arn(self, "PermissionsBoundary", research.permissions_boundary)
            )
        removal = Defaults.of(deployment).removal_policy
        key = kms.Key(
            self,
            "Key",
            description=f"{deployment.name}: research data, volumes and images",
            enable_key_rotation=True,
            removal_policy=removal,
        )
        bucket = DataBucket(self, "Data", deployment=deployment, research=research, key=key)
        network = Network(self, "Network", research=research, zones=self.availability_zones, removal_policy=removal)

        registries = {
            image.name: Registry(
                self,
                f"Registry-{image.name}",
                deployment=deployment,
                image=image,
                kept=research.image_builds_kept,
                key=key,
            )
            for image in research.images
        }
        images = _images(self, deployment, research, registries, key)
        roles = Roles(
            self,
            "Roles",
            deployment=deployment,
            research=research,
            bucket=bucket,
            key=key,
            network=network,
            repositories=list(registries.values()),
        )
        environment = {
            "RESEARCH_BUCKET": bucket.bucket_name,
            "RESEARCH_KEY": key.key_arn,
            "RESEARCH_JOB_PREFIX": names.job_prefix(deployment),
            "RESEARCH_PROCESSING_ROLE": roles.processing.role_arn,
            "RESEARCH_SUBNETS": ",".join(network.subnet_ids),
            "RESEARCH_SECURITY_GROUP": network.security_group.security_group_id,
        }
        if uri := next((image.processing_uri for image in images if image.processing_uri), None):
            environment["RESEARCH_PROCESSING_IMAGE"] = uri
        # For who launches jobs from elsewhere than Studio, where it is in each app's environment.
        parameter = ssm.StringParameter(
            self,
            "Environment",
            parameter_name=processing_job.parameter_name(deployment.name),
            description=f"{deployment.name}: where research jobs run",
            string_value=self.to_json_string(environment),
        )
        pipelines = [
            Pipeline(
                self,
                f"Pipeline-{pipeline.name}",
                deployment=deployment,
                research=research,
                pipeline=pipeline,
                environment=processing_job.Environment.of(environment, "the stack"),
                roles=roles,
                key=key,
            )
            for pipeline in research.pipelines
        ]
        for image in images:
            image.attach(role=roles.image, environment=environment)

        domain = Domain(
            self,
            "Domain",
            deployment=deployment,
            research=research,
            key=key,
            network=network,
            roles=roles,
            images=images,
        )
        people = People(
            self,
            "People",
            deployment=deployment,
            research=research,
            domain=domain,
            roles=roles,
            removal_policy=removal,
        )
        kept = [f"s3://{bucket.bucket_name}", key.key_arn, *(r.repository_uri for r in registries.values())]
        clean_up = CleanUp(self, "CleanUp", deployment=deployment, research=research)
        clean_up.guard(domain, key)
        clean_up.empty(
            domain, people, after=[network, roles, key, *pipelines], kept=[] if deployment.ephemeral else kept
        )

        if research.workstation:
            NotebookInstance(
                self,
                "Workstation",
                deployment=deployment,
                research=research,
                workstation=research.workstation,
                key=key,
                network=network,
                roles=roles,
                domain=domain,
                repositories=list(registries.values()),
            )
        if research.budget:
            MonthlyBudget(self, "Budget", budget=research.budget)

        for name, value in {
            "StudioUrl": domain.attr_url,
            "DomainId": domain.attr_domain_id,
            "EnvironmentParameter": parameter.parameter_name,
            **{_output(variable): value for variable, value in environment.items()},
            "KeptWhenRemoved": "nothing: ephemeral = true" if deployment.ephemeral else Fn.join(" ", kept),
        }.items():
            CfnOutput(self, name, value=value)


def _images(
    scope: Construct,
    deployment: Deployment | ResearchDeployment,
    research: ResearchConfig,
    registries: dict[str, Registry],
    key: kms.IKey,
) -> list[StudioImage]:
    if not research.images:
        return []
    builder = ImageBuilder(scope, "ImageBuilder", function_name=names.image_build_function(deployment))
    return [
        StudioImage(
            scope,
            f"Image-{image.name}",
            deployment=deployment,
            image=image,
            registry=registries[image.name],
            builder=builder,
            key=key,
        )
        for image in research.images
    ]


def _output(variable: str) -> str:
    """`RESEARCH_JOB_PREFIX` -> `ResearchJobPrefix`."""
    return "".join(word.capitalize() for word in variable.split("_"))
