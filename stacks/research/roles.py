"""Who may do what: researchers in Studio, their jobs, and SageMaker when it fetches an image.

Every role is for SageMaker and this account alone. Researchers pass one role, the jobs', and to SageMaker only.
"""

from collections.abc import Sequence

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.findings import acknowledge_wildcards
from stacks.deployment import BaseDeployment, names
from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig, UserConfig
from stacks.research.network import Network

OWN_PROFILE = "user-profile/${sagemaker:DomainId}/${sagemaker:UserProfileName}"
"""The profile that a request is made for, as SageMaker tells IAM."""


_TOKEN = "ecr:GetAuthorizationToken is for the whole registry."  # noqa: S105 - a reason


class Roles(Construct):
    """`default`: researchers without a profile in the deployment file; `shared`: what runs in a shared space;
    `users`: by profile; `processing`: jobs; `image`: SageMaker itself."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        research: ResearchConfig,
        bucket: s3.IBucket,
        key: kms.IKey,
        network: Network,
        repositories: Sequence[ecr.IRepository],
    ) -> None:
        super().__init__(scope, id)
        self._deployment, self._research = deployment, research
        self._bucket, self._key = bucket, key
        self._partition = partition(research.region)
        self._arn = f"arn:{self._partition}:sagemaker:{research.region}:{research.account}"

        self.processing = self._role("Processing", names.processing_role(deployment))
        self._data(self.processing, [names.SHARED])
        self._run_jobs(self.processing, network)

        self.image = self._role("Image")
        for repository in repositories:
            repository.grant_pull(self.image)
            repository.grant(self.image, "ecr:DescribeImages")
            repository.grant_pull(self.processing)
        acknowledge_wildcards(self.image, {_TOKEN: ["*"]})

        studio = iam.ManagedPolicy(
            self,
            "StudioPolicy",
            description="What every researcher may do in Studio.",
            statements=[
                *self._spaces(),
                *self._jobs(),
                *self._pipelines(),
                *self.use_key_for_volumes(),
                *self._limits(network),
            ],
        )
        acknowledge_wildcards(
            studio,
            {
                "SageMaker lists all or nothing; the denials are for everything.": ["*"],
                "Spaces and apps of one's own profile, or shared ones: conditions say so.": [
                    f"{self._arn}:{kind}/{which}"
                    for kind in ("app", "space")
                    for which in ("*", "${sagemaker:DomainId}/*")
                ],
                "Jobs of the deployment's name, and their logs.": [self._jobs_arn, *self._job_logs],
                "Executions of the deployment's pipelines.": [f"{arn}/execution/*" for arn in self._pipeline_arns],
            },
        )
        self.shared = self._role("SharedSpaces", managed=[studio])
        self._data(self.shared, [names.SHARED])
        # SageMaker gives the profile's name as the session's source identity, which nobody in the session can change.
        self.default = self._role("Researcher", names.studio_role(deployment), managed=[studio])
        self._data(self.default, [names.SHARED, f"{names.USERS}${{aws:SourceIdentity}}/"])
        self.users = {user.profile: self._user(user, studio) for user in research.users}

    @property
    def studio(self) -> list[iam.Role]:
        """All that researchers have."""
        return [self.default, self.shared, *self.users.values()]

    def _user(self, user: UserConfig, studio: iam.IManagedPolicy) -> iam.Role:
        role = self._role(f"User-{user.profile}", names.studio_role(self._deployment, user), managed=[studio])
        self._data(role, [names.SHARED, f"{names.USERS}{user.profile}/"])
        return role

    def _role(self, id: str, name: str | None = None, managed: Sequence[iam.IManagedPolicy] = ()) -> iam.Role:
        sagemaker = iam.ServicePrincipal(
            "sagemaker.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self._research.account}}
        )
        role = iam.Role(self, id, role_name=name, assumed_by=sagemaker, managed_policies=list(managed))
        assert role.assume_role_policy
        role.assume_role_policy.add_statements(
            iam.PolicyStatement(sid="NameTheResearcher", principals=[sagemaker], actions=["sts:SetSourceIdentity"])
        )
        return role

    def _data(self, role: iam.Role, prefixes: Sequence[str]) -> None:
        """Read and write below these prefixes of the data bucket, and read the readable buckets."""
        for statement in (
            iam.PolicyStatement(
                sid="ListOwnPrefixes",
                actions=["s3:ListBucket"],
                resources=[self._bucket.bucket_arn],
                conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}},
            ),
            iam.PolicyStatement(
                sid="ReadAndWriteOwnPrefixes",
                actions=[
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                    "s3:PutObject",
                    "s3:DeleteObject",
                    "s3:AbortMultipartUpload",
                    "s3:ListMultipartUploadParts",
                ],
                resources=[self._bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes],
            ),
            iam.PolicyStatement(
                sid="FindBucket", actions=["s3:GetBucketLocation"], resources=[self._bucket.bucket_arn]
            ),
            iam.PolicyStatement(
                sid="UseKeyThroughS3",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[self._key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": names.s3_endpoint(self._research.region)}},
            ),
        ):
            role.add_to_policy(statement)
        acknowledge_wildcards(
            role, {"Prefixes of the data bucket.": [self._bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes]}
        )
        if self._research.readable_buckets:
            arns = [f"arn:{self._partition}:s3:::{bucket}" for bucket in self._research.readable_buckets]
            role.add_to_policy(
                iam.PolicyStatement(
                    sid="ReadReadableBuckets",
                    actions=["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"],
                    resources=[*arns, *(f"{arn}/*" for arn in arns)],
                )
            )
            acknowledge_wildcards(role, {"Buckets that the deployment file names.": [f"{arn}/*" for arn in arns]})

    def _run_jobs(self, role: iam.Role, network: Network) -> None:
        """What SageMaker does as the role while a job runs: its log, its metrics, its place in the network."""
        account = f"{self._research.region}:{self._research.account}"
        ec2 = f"arn:{self._partition}:ec2:{account}"
        role.add_to_policy(
            iam.PolicyStatement(
                sid="WriteLog",
                actions=[
                    "logs:CreateLogGroup",
                    "logs:CreateLogStream",
                    "logs:DescribeLogStreams",
                    "logs:PutLogEvents",
                ],
                resources=[f"arn:{self._partition}:logs:{account}:log-group:/aws/sagemaker/ProcessingJobs*"],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="TellMetrics",
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/ProcessingJobs"}},
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="EnterNetwork",
                actions=["ec2:CreateNetworkInterface"],
                resources=[
                    f"{ec2}:network-interface/*",
                    f"{ec2}:security-group/{network.security_group.security_group_id}",
                    *(f"{ec2}:subnet/{subnet}" for subnet in network.subnet_ids),
                ],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="UseOwnInterfaces",
                actions=[
                    "ec2:CreateNetworkInterfacePermission",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DeleteNetworkInterfacePermission",
                ],
                resources=[f"{ec2}:network-interface/*"],
                conditions={"ArnEquals": {"ec2:Subnet": [f"{ec2}:subnet/{subnet}" for subnet in network.subnet_ids]}},
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                sid="SeeNetwork",
                actions=[
                    "ec2:DescribeDhcpOptions",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs",
                ],
                resources=["*"],
            )
        )
        acknowledge_wildcards(
            role,
            {
                f"{_TOKEN} Metrics have no ARN (their namespace is given), and EC2 describes all or nothing.": ["*"],
                "An interface has no name before it is made; the subnet and the security group are given.": [
                    f"{ec2}:network-interface/*"
                ],
                "The log group and its streams.": [
                    f"arn:{self._partition}:logs:{account}:log-group:/aws/sagemaker/ProcessingJobs*"
                ],
            },
        )

    def _spaces(self) -> list[iam.PolicyStatement]:
        """One's own private spaces and their apps; shared spaces and theirs."""
        own = {"ArnLike": {"sagemaker:OwnerUserProfileArn": f"{self._arn}:{OWN_PROFILE}"}}
        return [
            iam.PolicyStatement(
                sid="EnterStudio",
                actions=["sagemaker:CreatePresignedDomainUrl"],
                resources=[f"{self._arn}:{OWN_PROFILE}"],
            ),
            iam.PolicyStatement(
                sid="Look",
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
                resources=[f"{self._arn}:space/${{sagemaker:DomainId}}/*"],
                conditions={**own, "StringEquals": {"sagemaker:SpaceSharingType": ["Private", "Shared"]}},
            ),
            iam.PolicyStatement(
                sid="OwnApps",
                actions=["sagemaker:CreateApp", "sagemaker:DeleteApp"],
                resources=[f"{self._arn}:app/${{sagemaker:DomainId}}/*"],
                conditions={**own, "StringEquals": {"sagemaker:SpaceSharingType": "Private"}},
            ),
            iam.PolicyStatement(
                sid="AppsOfSharedSpaces",
                actions=["sagemaker:CreateApp", "sagemaker:DeleteApp"],
                resources=[f"{self._arn}:app/${{sagemaker:DomainId}}/*"],
                conditions={"StringEquals": {"sagemaker:SpaceSharingType": "Shared"}},
            ),
            iam.PolicyStatement(
                sid="TagWhatStudioMakes",
                actions=["sagemaker:AddTags"],
                resources=[f"{self._arn}:app/*", f"{self._arn}:space/*", self._jobs_arn],
                conditions={"Null": {"sagemaker:TaggingAction": "false"}},
            ),
        ]

    @property
    def _jobs_arn(self) -> str:
        return f"{self._arn}:processing-job/{names.job_prefix(self._deployment)}*"

    @property
    def _job_logs(self) -> tuple[str, str]:
        """The log streams of the deployment's jobs, and the group they are in."""
        account = f"{self._research.region}:{self._research.account}"
        group = f"arn:{self._partition}:logs:{account}:log-group:/aws/sagemaker/ProcessingJobs"
        return f"{group}:log-stream:{names.job_prefix(self._deployment)}*", f"{group}:*"

    def _jobs(self) -> list[iam.PolicyStatement]:
        """Processing jobs under the deployment's name, as the processing role and no other."""
        streams, group = self._job_logs
        return [
            iam.PolicyStatement(
                sid="OwnJobs",
                actions=[
                    "sagemaker:CreateProcessingJob",
                    "sagemaker:DescribeProcessingJob",
                    "sagemaker:StopProcessingJob",
                ],
                resources=[self._jobs_arn],
            ),
            iam.PolicyStatement(sid="ListJobs", actions=["sagemaker:ListProcessingJobs"], resources=["*"]),
            iam.PolicyStatement(
                sid="PassProcessingRole",
                actions=["iam:PassRole"],
                resources=[self.processing.role_arn],
                conditions={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
            ),
            iam.PolicyStatement(
                sid="ReadJobLog",
                actions=["logs:GetLogEvents"],
                resources=[streams],
            ),
            iam.PolicyStatement(
                sid="FindJobLog",
                actions=["logs:DescribeLogStreams"],
                resources=[group],
            ),
        ]

    @property
    def _pipeline_arns(self) -> list[str]:
        return [names.pipeline_arn(self._deployment, self._research, each) for each in self._research.pipelines]

    def _pipelines(self) -> list[iam.PolicyStatement]:
        """Start the deployment's pipelines, look and stop; not change them. They run as a role of their own."""
        if not self._pipeline_arns:
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
                resources=[each for arn in self._pipeline_arns for each in (arn, f"{arn}/execution/*")],
            ),
            iam.PolicyStatement(sid="ListPipelines", actions=["sagemaker:ListPipelines"], resources=["*"]),
        ]

    def use_key_for_volumes(self) -> list[iam.PolicyStatement]:
        """Volumes of spaces and jobs: SageMaker asks for a grant as whoever starts them."""
        return [
            iam.PolicyStatement(sid="SeeKey", actions=["kms:DescribeKey"], resources=[self._key.key_arn]),
            iam.PolicyStatement(
                sid="EncryptVolumes",
                actions=["kms:CreateGrant"],
                resources=[self._key.key_arn],
                conditions={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            ),
        ]

    def _limits(self, network: Network) -> list[iam.PolicyStatement]:
        """What no other statement, here or added later, may go beyond."""
        limits = [
            iam.PolicyStatement(
                sid="OnlyTheseInstanceTypes",
                effect=iam.Effect.DENY,
                actions=["sagemaker:CreateApp", "sagemaker:CreateProcessingJob"],
                resources=["*"],
                conditions={
                    "ForAnyValue:StringNotEquals": {
                        "sagemaker:InstanceTypes": [*self._research.instance_types, "system"]
                    }
                },
            )
        ]
        if self._research.network == "vpc-only":
            limits += [
                iam.PolicyStatement(
                    sid="NoJobOutsideTheNetwork",
                    effect=iam.Effect.DENY,
                    actions=["sagemaker:CreateProcessingJob"],
                    resources=["*"],
                    conditions={"Null": {"sagemaker:VpcSubnets": "true"}},
                ),
                iam.PolicyStatement(
                    sid="NoJobInAnotherNetwork",
                    effect=iam.Effect.DENY,
                    actions=["sagemaker:CreateProcessingJob"],
                    resources=["*"],
                    conditions={
                        "ForAnyValue:StringNotEquals": {"sagemaker:VpcSubnets": list(network.subnet_ids)},
                    },
                ),
            ]
        return limits
