"""The managed policy of all researchers in Studio: spaces, apps, jobs, pipelines, and limits."""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from research import processing_job
from stacks.common.findings import acknowledge_wildcards
from stacks.deployment import ResearchNames
from stacks.deployment.research import ResearchConfig
from stacks.research.network import ResearchNetwork


class StudioPolicy(iam.ManagedPolicy):
    """The permissions of researchers, except those for data."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: ResearchNames,
        settings: ResearchConfig,
        network: ResearchNetwork,
        processing_role: iam.IRole,
        key: kms.IKey,
    ) -> None:
        arns = _Arns(names, settings)
        super().__init__(
            scope,
            id,
            description="Permissions of researchers in Studio.",
            statements=[
                *_spaces(arns),
                *_jobs(arns, processing_role),
                *_pipelines(arns.pipelines),
                *volume_key_statements(key),
                _app_log(arns),
                iam.PolicyStatement(
                    sid="ReadJobEnvironment", actions=["ssm:GetParameter"], resources=[arns.environment_parameter]
                ),
                *_limits(settings, network),
            ],
        )
        acknowledge_wildcards(
            self,
            {
                "SageMaker lists all resources or none. The denials apply to all resources.": ["*"],
                "Spaces and apps of the researcher's profile, or shared ones: conditions restrict them.": [
                    arns.all_apps,
                    arns.all_spaces,
                    arns.apps,
                    arns.spaces,
                ],
                "The log of apps.": [arns.app_logs],
                "Jobs with the deployment's prefix, and their logs.": [arns.jobs, arns.job_log_streams, arns.job_logs],
                "Executions of the deployment's pipelines.": [f"{arn}/execution/*" for arn in arns.pipelines],
            },
        )


class _Arns:
    """ARNs in the policy. `${sagemaker:…}` are IAM variables of the request."""

    def __init__(self, names: ResearchNames, settings: ResearchConfig) -> None:
        named = names.place.named
        log_group = "/aws/sagemaker/ProcessingJobs"
        self.own_profile = named("sagemaker", "${sagemaker:DomainId}/${sagemaker:UserProfileName}", "user-profile/").arn
        """The user profile of the request."""
        self.spaces = named("sagemaker", "${sagemaker:DomainId}/*", "space/").arn
        self.apps = named("sagemaker", "${sagemaker:DomainId}/*", "app/").arn
        self.all_spaces = named("sagemaker", "*", "space/").arn
        self.all_apps = named("sagemaker", "*", "app/").arn
        self.jobs = named("sagemaker", f"{names.job_prefix}*", "processing-job/").arn
        self.job_log_streams = named("logs", f"{log_group}:log-stream:{names.job_prefix}*", "log-group:").arn
        self.job_logs = named("logs", f"{log_group}:*", "log-group:").arn
        self.app_logs = named("logs", "/aws/sagemaker/studio:*", "log-group:").arn
        self.environment_parameter = named("ssm", processing_job.parameter_name(names.prefix), "parameter").arn
        self.pipelines = [names.pipeline(pipeline.name).arn for pipeline in settings.pipelines]


def _spaces(arns: _Arns) -> list[iam.PolicyStatement]:
    """Return the statements for the researcher's private spaces and for shared spaces."""
    owned = {"ArnLike": {"sagemaker:OwnerUserProfileArn": arns.own_profile}}
    return [
        iam.PolicyStatement(
            sid="OpenStudio", actions=["sagemaker:CreatePresignedDomainUrl"], resources=[arns.own_profile]
        ),
        iam.PolicyStatement(
            sid="ReadStudio",
            actions=[
                "sagemaker:ListApps",
                "sagemaker:ListDomains",
                "sagemaker:ListSpaces",
                "sagemaker:ListUserProfiles",
                "sagemaker:DescribeApp",
                "sagemaker:DescribeDomain",
                "sagemaker:DescribeSpace",
                "sagemaker:DescribeUserProfile",
                "sagemaker:ListImages",
                "sagemaker:ListImageVersions",
                "sagemaker:DescribeImage",
                "sagemaker:DescribeImageVersion",
                "sagemaker:DescribeAppImageConfig",
            ],
            resources=["*"],
        ),
        iam.PolicyStatement(
            sid="OwnSpaces",
            actions=["sagemaker:CreateSpace", "sagemaker:UpdateSpace", "sagemaker:DeleteSpace"],
            resources=[arns.spaces],
            conditions={**owned, "StringEquals": {"sagemaker:SpaceSharingType": ["Private", "Shared"]}},
        ),
        iam.PolicyStatement(
            sid="OwnApps",
            actions=["sagemaker:CreateApp", "sagemaker:DeleteApp"],
            resources=[arns.apps],
            conditions={**owned, "StringEquals": {"sagemaker:SpaceSharingType": "Private"}},
        ),
        iam.PolicyStatement(
            sid="AppsOfSharedSpaces",
            actions=["sagemaker:CreateApp", "sagemaker:DeleteApp"],
            resources=[arns.apps],
            conditions={"StringEquals": {"sagemaker:SpaceSharingType": "Shared"}},
        ),
        iam.PolicyStatement(
            sid="TagNewResources",
            actions=["sagemaker:AddTags"],
            resources=[arns.all_apps, arns.all_spaces, arns.jobs],
            conditions={"Null": {"sagemaker:TaggingAction": "false"}},
        ),
    ]


def _jobs(arns: _Arns, processing_role: iam.IRole) -> list[iam.PolicyStatement]:
    """Return the statements for processing jobs with the deployment's prefix, which run as the processing role."""
    return [
        iam.PolicyStatement(
            sid="OwnJobs",
            actions=["sagemaker:CreateProcessingJob", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"],
            resources=[arns.jobs],
        ),
        iam.PolicyStatement(sid="ListJobs", actions=["sagemaker:ListProcessingJobs"], resources=["*"]),
        iam.PolicyStatement(
            sid="PassProcessingRole",
            actions=["iam:PassRole"],
            resources=[processing_role.role_arn],
            conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        ),
        iam.PolicyStatement(sid="ReadJobLog", actions=["logs:GetLogEvents"], resources=[arns.job_log_streams]),
        iam.PolicyStatement(sid="FindJobLog", actions=["logs:DescribeLogStreams"], resources=[arns.job_logs]),
    ]


def _pipelines(arns: Sequence[str]) -> list[iam.PolicyStatement]:
    """Return the statements to start, read and stop the deployment's pipelines, without changing them."""
    if not arns:
        return []
    return [
        iam.PolicyStatement(
            sid="RunPipelines",
            actions=[
                "sagemaker:StartPipelineExecution",
                "sagemaker:StopPipelineExecution",
                "sagemaker:DescribePipeline",
                "sagemaker:DescribePipelineExecution",
                "sagemaker:ListPipelineExecutions",
                "sagemaker:ListPipelineExecutionSteps",
                "sagemaker:ListPipelineParametersForExecution",
            ],
            resources=[resource for arn in arns for resource in (arn, f"{arn}/execution/*")],
        ),
        iam.PolicyStatement(sid="ListPipelines", actions=["sagemaker:ListPipelines"], resources=["*"]),
    ]


def volume_key_statements(key: kms.IKey) -> list[iam.PolicyStatement]:
    """Return the statements to encrypt volumes: SageMaker creates a grant with the credentials of the caller."""
    return [
        iam.PolicyStatement(sid="DescribeKey", actions=["kms:DescribeKey"], resources=[key.key_arn]),
        iam.PolicyStatement(
            sid="EncryptVolumes",
            actions=["kms:CreateGrant"],
            resources=[key.key_arn],
            conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def _app_log(arns: _Arns) -> iam.PolicyStatement:
    """Return the statement for the log of an app, which SageMaker writes as the researcher."""
    return iam.PolicyStatement(
        sid="WriteAppLog",
        actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[arns.app_logs],
    )


def _limits(settings: ResearchConfig, network: ResearchNetwork) -> list[iam.PolicyStatement]:
    """Return the denials, which override every allowance."""
    create = ["sagemaker:CreateProcessingJob"]
    other_groups = {"ForAnyValue:StringNotEquals": {"sagemaker:VpcSecurityGroupIds": [network.jobs.security_group_id]}}
    limits = [
        _deny("OnlyTheseAppTypes", ["sagemaker:CreateApp"], _other_types(*settings.instance_types, "system")),
        _deny("OnlyTheseJobTypes", create, _other_types(*settings.job_instance_types)),
        # In a researcher's group, a job could reach that researcher's apps.
        _deny("NoJobInAnotherGroup", create, other_groups),
    ]
    if settings.network == "vpc-only":
        outside = {"ForAnyValue:StringNotEquals": {"sagemaker:VpcSubnets": network.subnet_ids}}
        limits += [
            _deny("NoJobOutsideTheNetwork", create, {"Null": {"sagemaker:VpcSubnets": "true"}}),
            _deny("NoJobInAnotherNetwork", create, outside),
        ]
    return limits


def _other_types(*instance_types: str) -> Mapping[str, object]:
    return {"ForAnyValue:StringNotEquals": {"sagemaker:InstanceTypes": list(instance_types)}}


def _deny(sid: str, actions: list[str], conditions: Mapping[str, object]) -> iam.PolicyStatement:
    return iam.PolicyStatement(sid=sid, effect=iam.Effect.DENY, actions=actions, resources=["*"], conditions=conditions)
