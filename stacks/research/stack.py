"""The research account: SageMaker Studio with single sign-on, images, data in S3, jobs and pipelines.

researchers -- single sign-on --> domain -- spaces, in the image --> data bucket <-- jobs, in the image
Dockerfile -> CodeBuild -> ECR -> SageMaker image and version -> the domain's default settings
"""

from collections.abc import Mapping, Sequence

from aws_cdk import Annotations, CfnOutput, Environment, Fn, Stack, Tags
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from research import processing_job
from stacks.common.container_image import ImageBuilder
from stacks.common.defaults import Defaults
from stacks.deployment import ResearchNames
from stacks.deployment.regions import has_resource_type
from stacks.deployment.research import ResearchConfig
from stacks.research.budget import MonthlyBudget
from stacks.research.clean_up import DomainCleanUp
from stacks.research.data_bucket import DataBucket
from stacks.research.domain import StudioDomain
from stacks.research.images import StudioImage
from stacks.research.network import ResearchNetwork
from stacks.research.pipeline import Pipeline, pascal_case
from stacks.research.roles import Roles
from stacks.research.users import Users
from stacks.research.workstation import Workstation

BUDGET_TYPE = budgets.CfnBudget.CFN_RESOURCE_TYPE_NAME
CLASSIC_WARNING = (
    'An image has apps = ["KernelGateway"]. SageMaker closed Studio Classic: its applications can be stopped and '
    "deleted, and no new ones can be created. Use JupyterLab and CodeEditor."
)
TAG = "coatcheck:deployment"
"""The tag of all resources of the stack, which the domain propagates to researchers' resources."""


class ResearchStack(Stack):
    """The stack of the research account. It needs no other stack of the deployment."""

    @property
    def availability_zones(self) -> list[str]:
        """The file's zones, or two that CloudFormation chooses. CDK would request names from AWS during synth."""
        return list(self._settings.availability_zones) or [Fn.select(0, Fn.get_azs()), Fn.select(1, Fn.get_azs())]

    def __init__(self, scope: Construct, names: ResearchNames, *, settings: ResearchConfig, defaults: Defaults) -> None:
        self._names, self._settings, self._defaults = names, settings, defaults
        super().__init__(
            scope,
            names.stack,
            env=Environment(account=names.place.account, region=names.place.region),
            termination_protection=defaults.termination_protection,
            description="coatcheck: a SageMaker Studio environment with custom images.",
        )
        Tags.of(self).add(TAG, defaults.name)
        self._key = self._add_key()
        bucket = DataBucket(self, "Data", names=names, key=self._key, defaults=defaults)
        self._network = ResearchNetwork(
            self, "Network", place=names.place, settings=settings, zones=self.availability_zones, defaults=defaults
        )
        images = self._add_images()
        self._repositories = [image.repository for image in images]
        self._roles = Roles(
            self,
            "Roles",
            names=names,
            settings=settings,
            bucket=bucket,
            key=self._key,
            network=self._network,
            repositories=self._repositories,
        )
        environment = self._job_environment(bucket, images)
        variables = {name: value for name, value in environment.variables().items() if value}
        parameter = self._add_parameter(variables)
        pipelines = self._add_pipelines(environment)
        index = {"PIP_INDEX_URL": settings.package_index} if settings.package_index else {}
        for image in images:
            image.attach(role=self._roles.image, environment={**variables, **index})
        domain = StudioDomain(
            self,
            "Domain",
            names=names,
            settings=settings,
            key=self._key,
            network=self._network,
            roles=self._roles,
            images=images,
        )
        users = Users(
            self,
            "Users",
            settings=settings,
            domain=domain,
            roles=self._roles,
            network=self._network,
            defaults=defaults,
        )
        retained = self._retained(bucket)
        kept_spaces = self._add_clean_up(domain, users, pipelines, retained)
        self._add_workstation(domain)
        if settings.budget and has_resource_type(self.region, BUDGET_TYPE):
            MonthlyBudget(self, "Budget", settings=settings.budget)
        if settings.classic:
            Annotations.of(self).add_warning_v2("coatcheck:studio-classic", CLASSIC_WARNING)
        self._add_outputs(domain, parameter, variables, retained, kept_spaces)

    def _add_key(self) -> kms.Key:
        return kms.Key(
            self,
            "Key",
            description=f"{self._defaults.name}: research data, volumes and images",
            enable_key_rotation=True,
            removal_policy=self._defaults.removal_policy,
        )

    def _add_images(self) -> list[StudioImage]:
        if not self._settings.images:
            return []
        builder = ImageBuilder(self, "ImageBuilder", function_name=self._names.image_build_function.name)
        return [
            StudioImage(
                self,
                f"Image-{image.name}",
                names=self._names,
                settings=image,
                builds_kept=self._settings.image_builds_kept,
                builder=builder,
                key=self._key,
                defaults=self._defaults,
            )
            for image in self._settings.images
        ]

    def _job_environment(self, bucket: DataBucket, images: Sequence[StudioImage]) -> processing_job.Environment:
        """Return the job environment. Its image is "" if the file has none for jobs."""
        uris = {image.name: image.processing_uri for image in images if image.processing_uri}
        return processing_job.Environment(
            bucket=bucket.bucket_name,
            key=self._key.key_arn,
            job_prefix=self._names.job_prefix,
            processing_role=self._roles.processing.role_arn,
            subnets=self._network.subnet_ids,
            security_group=self._network.jobs.security_group_id,
            processing_image=next(iter(uris.values()), self._settings.job_image or ""),
            other_images=uris if len(uris) > 1 else {},
        )

    def _add_parameter(self, variables: Mapping[str, str]) -> ssm.StringParameter:
        """Add the parameter for jobs that are launched outside Studio. In Studio, each app has the variables."""
        return ssm.StringParameter(
            self,
            "Environment",
            parameter_name=processing_job.parameter_name(self._defaults.name),
            description=f"{self._defaults.name}: the environment of research jobs",
            string_value=self.to_json_string(variables),
        )

    def _add_pipelines(self, environment: processing_job.Environment) -> list[Pipeline]:
        return [
            Pipeline(
                self,
                f"Pipeline-{pipeline.name}",
                names=self._names,
                settings=pipeline,
                instance_types=self._settings.pipeline_instance_types,
                environment=environment,
                processing_role=self._roles.processing,
                key=self._key,
            )
            for pipeline in self._settings.pipelines
        ]

    def _retained(self, bucket: DataBucket) -> list[str]:
        """Return the resources that remain after the stack's deletion."""
        if self._defaults.ephemeral:
            return []
        repositories = [repository.repository_uri for repository in self._repositories]
        return [f"s3://{bucket.bucket_name}", self._key.key_arn, *repositories]

    def _add_clean_up(
        self, domain: StudioDomain, users: Users, pipelines: Sequence[Pipeline], retained: Sequence[str]
    ) -> str:
        clean_up = DomainCleanUp(self, "CleanUp", names=self._names, settings=self._settings)
        clean_up.guard(self._key, domain, users)
        return clean_up.empty(
            domain,
            users,
            required=[self._network, self._roles, self._key, *pipelines],
            retained=retained,
            ephemeral=self._defaults.ephemeral,
            log_retention_days=self._defaults.operations.log_retention_days,
        )

    def _add_workstation(self, domain: StudioDomain) -> None:
        if self._settings.workstation:
            Workstation(
                self,
                "Workstation",
                names=self._names,
                settings=self._settings.workstation,
                images=self._settings.images,
                key=self._key,
                network=self._network,
                roles=self._roles,
                domain=domain,
                repositories=self._repositories,
            )

    def _add_outputs(
        self,
        domain: StudioDomain,
        parameter: ssm.StringParameter,
        variables: Mapping[str, str],
        retained: Sequence[str],
        kept_spaces: str,
    ) -> None:
        for name, value in {
            "StudioUrl": domain.attr_url,
            "DomainId": domain.attr_domain_id,
            "EnvironmentParameter": parameter.parameter_name,
            **{pascal_case(name): value for name, value in variables.items()},
            "KeptSpaces": kept_spaces,
            "RetainedResources": Fn.join(" ", list(retained)) if retained else "nothing: ephemeral = true",
        }.items():
            CfnOutput(self, name, value=value)
