"""What CloudFormation cannot do for a domain by itself: refuse what would replace it, and empty it before it goes."""

from collections.abc import Sequence

from aws_cdk import CustomResource, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct, IConstruct

from domain_clean_up.settings import CLEAN_UP, GUARD, CleanUpSettings, GuardSettings
from stacks.common.custom_resource import AsyncProvider
from stacks.common.findings import acknowledge_wildcards
from stacks.common.function import Function
from stacks.deployment import BaseDeployment, names
from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig
from stacks.research.domain import Domain
from stacks.research.users import People


class CleanUp(Construct):
    """`guard` goes before the domain, `empty` is deleted before everything that the domain has to do with."""

    def __init__(self, scope: Construct, id: str, *, deployment: BaseDeployment, research: ResearchConfig) -> None:
        super().__init__(scope, id)
        self._deployment, self._research = deployment, research
        self.function = Function(
            self,
            "Function",
            function_name=names.clean_up_function(deployment),
            package="domain_clean_up",
            shared=(),
            timeout=Duration.minutes(5),
            environment={},
        )
        self._provider = AsyncProvider(self, "Provider", function=self.function, query_interval=Duration.seconds(30))

    def guard(self, domain: Domain, key: kms.IKey) -> None:
        """An update that would replace the domain fails here, before CloudFormation has touched it."""
        center = self._research.identity_center
        guard = CustomResource(
            self,
            "Guard",
            service_token=self._provider.service_token,
            resource_type=GUARD,
            properties=GuardSettings(
                auth_mode=self._research.auth,
                domain_name=names.research_domain(self._deployment),
                kms_key_id=key.key_id,
                identity_center=center.instance_arn if center else "none",
            ).to_properties(),
        )
        domain.node.add_dependency(guard)

    def empty(self, domain: Domain, people: People, *, after: Sequence[IConstruct], kept: Sequence[str]) -> None:
        """Emptied while all that its apps and jobs need is still there: `after`, and everybody's profile."""
        # Apart from the function's own policy, on which the guard depends, and with it the domain that is named here.
        rights = iam.Policy(self, "Rights", roles=[self.function.execution_role])
        arn = f"arn:{partition(self._research.region)}:sagemaker:{self._research.region}:{self._research.account}"
        pipelines = [names.pipeline_arn(self._deployment, self._research, each) for each in self._research.pipelines]
        for sid, actions, resources in (
            (
                "Look",
                [
                    "sagemaker:ListApps",
                    "sagemaker:ListSpaces",
                    "sagemaker:ListUserProfiles",
                    "sagemaker:ListProcessingJobs",
                ],
                ["*"],
            ),
            ("DeleteApps", ["sagemaker:DeleteApp"], [f"{arn}:app/{domain.attr_domain_id}/*"]),
            ("DeleteSpaces", ["sagemaker:DeleteSpace"], [f"{arn}:space/{domain.attr_domain_id}/*"]),
            (
                "DeleteProfiles",
                ["sagemaker:DeleteUserProfile"],
                [f"{arn}:user-profile/{domain.attr_domain_id}/*"],
            ),
            *(
                (sid, [f"sagemaker:{action}"], [f"{pipeline}{suffix}" for pipeline in pipelines])
                for sid, action, suffix in (
                    ("FindExecutions", "ListPipelineExecutions", ""),
                    ("StopExecutions", "StopPipelineExecution", "/execution/*"),
                )
                if pipelines
            ),
            (
                "StopJobs",
                ["sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"],
                [f"{arn}:processing-job/{names.job_prefix(self._deployment)}*"],
            ),
        ):
            rights.add_statements(iam.PolicyStatement(sid=sid, actions=actions, resources=resources))
        acknowledge_wildcards(
            rights,
            {
                "SageMaker lists all or nothing.": ["*"],
                "What researchers made in this domain, under whatever name, and the deployment's jobs.": [
                    *(f"{arn}:{kind}/{domain.attr_domain_id}/*" for kind in ("app", "space", "user-profile")),
                    f"{arn}:processing-job/{names.job_prefix(self._deployment)}*",
                    *(f"{pipeline}/execution/*" for pipeline in pipelines),
                ],
            },
        )
        empty = CustomResource(
            self,
            "Empty",
            service_token=self._provider.service_token,
            resource_type=CLEAN_UP,
            properties=CleanUpSettings(
                domain_id=domain.attr_domain_id,
                profiles=tuple(sorted(people.profiles)),
                spaces=tuple(sorted(people.spaces)),
                pipelines=tuple(names.pipeline(self._deployment, pipeline) for pipeline in self._research.pipelines),
                job_prefix=names.job_prefix(self._deployment),
                job_role=f"arn:{partition(self._research.region)}:iam::{self._research.account}:role/"
                f"{names.processing_role(self._deployment)}",
                ephemeral=self._deployment.ephemeral,
                kept=tuple(kept),
            ).to_properties(),
        )
        empty.node.add_dependency(rights, domain, people, *after)
