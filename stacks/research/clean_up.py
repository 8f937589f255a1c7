"""Custom resources that reject a replacement of the domain, and that empty the domain before its deletion."""

from collections.abc import Sequence

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct, IConstruct

from domain_clean_up.settings import CLEAN_UP, GUARD, CleanUpSettings, GuardSettings
from stacks.common.custom_resource import AsyncProvider
from stacks.common.findings import acknowledge_wildcards
from stacks.common.function import Function
from stacks.deployment import ResearchNames
from stacks.deployment.research import ResearchConfig
from stacks.research.domain import StudioDomain
from stacks.research.users import Users


class DomainCleanUp(Construct):
    """The function and provider of both resources, which `guard` and `empty` add."""

    def __init__(self, scope: Construct, id: str, *, names: ResearchNames, settings: ResearchConfig) -> None:
        super().__init__(scope, id)
        self._names, self._settings = names, settings
        self.function = Function(
            self,
            "Function",
            function_name=names.clean_up_function.name,
            package="domain_clean_up",
            shared=(),
            timeout=Duration.minutes(5),
            environment={},
        )
        self._provider = AsyncProvider(self, "Provider", function=self.function, query_interval=Duration.seconds(30))

    def guard(self, domain: StudioDomain, key: kms.IKey) -> None:
        """Reject an update that would replace the domain, before CloudFormation updates the domain."""
        center = self._settings.identity_center
        guard = CustomResource(
            self,
            "Guard",
            service_token=self._provider.service_token,
            resource_type=GUARD,
            properties=GuardSettings(
                auth_mode=self._settings.auth,
                domain_name=self._names.domain,
                kms_key_id=key.key_id,
                identity_center=center.instance_arn if center else "none",
            ).to_properties(),
        )
        domain.node.add_dependency(guard)

    def empty(
        self,
        domain: StudioDomain,
        users: Users,
        *,
        required: Sequence[IConstruct],
        retained: Sequence[str],
        ephemeral: bool,
    ) -> None:
        """Empty the domain before CloudFormation deletes it, its profiles, or a resource in `required`.

        Args:
            domain: The domain.
            users: Profiles and spaces that CloudFormation deletes.
            required: Resources that apps and jobs need until their end.
            retained: Resources that remain after the stack's deletion, for the log.
            ephemeral: Whether spaces and their volumes may be deleted.
        """
        names = self._names
        pipelines = [names.pipeline(pipeline.name) for pipeline in self._settings.pipelines]
        permissions = self._permissions(domain.attr_domain_id, [pipeline.arn for pipeline in pipelines])
        resource = CustomResource(
            self,
            "Empty",
            service_token=self._provider.service_token,
            resource_type=CLEAN_UP,
            properties=CleanUpSettings(
                domain_id=domain.attr_domain_id,
                profiles=tuple(sorted(users.profiles)),
                spaces=tuple(sorted(users.spaces)),
                pipelines=tuple(pipeline.name for pipeline in pipelines),
                job_prefix=names.job_prefix,
                job_role=names.processing_role.arn,
                ephemeral=ephemeral,
                retained=tuple(retained),
            ).to_properties(),
        )
        resource.node.add_dependency(permissions, domain, users, *required)

    def _permissions(self, domain_id: str, pipelines: Sequence[str]) -> iam.Policy:
        # A separate policy avoids a cycle. The guard depends on the function's own policy, the domain on the guard, and
        # this policy on the domain.
        policy = iam.Policy(self, "Permissions", roles=[self.function.execution_role])
        named = self._names.place.named
        apps, spaces, profiles = (
            named("sagemaker", f"{domain_id}/*", kind).arn for kind in ("app/", "space/", "user-profile/")
        )
        jobs = named("sagemaker", f"{self._names.job_prefix}*", "processing-job/").arn
        executions = [f"{arn}/execution/*" for arn in pipelines]
        for sid, actions, resources in (
            ("List", ["ListApps", "ListSpaces", "ListUserProfiles", "ListProcessingJobs"], ["*"]),
            ("DeleteApps", ["DeleteApp"], [apps]),
            ("DeleteSpaces", ["DeleteSpace"], [spaces]),
            ("DeleteProfiles", ["DeleteUserProfile"], [profiles]),
            ("FindExecutions", ["ListPipelineExecutions"], pipelines),
            ("StopExecutions", ["StopPipelineExecution"], executions),
            ("StopJobs", ["DescribeProcessingJob", "StopProcessingJob"], [jobs]),
        ):
            if resources:
                policy.add_statements(
                    iam.PolicyStatement(
                        sid=sid, actions=[f"sagemaker:{action}" for action in actions], resources=list(resources)
                    )
                )
        acknowledge_wildcards(
            policy,
            {
                "SageMaker lists all resources or none.": ["*"],
                "Resources that researchers created in this domain, and the deployment's jobs.": [
                    *(apps, spaces, profiles, jobs),
                    *executions,
                ],
            },
        )
        return policy
