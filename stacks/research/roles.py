"""Roles of the research environment: for researchers in Studio, for jobs, and for SageMaker's reads of images.

SageMaker can assume each role for this account only. Researchers can pass one role to SageMaker, the role of jobs.
"""

from collections.abc import Mapping, Sequence

from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.grants import allow, grant_pull, grant_pull_from
from stacks.deployment import ResearchNames
from stacks.deployment.names import SHARED, USERS, repository_of
from stacks.deployment.research import ResearchConfig
from stacks.research.network import ResearchNetwork
from stacks.research.sagemaker_role import SageMakerRole
from stacks.research.studio_policy import StudioPolicy


class Roles(Construct):
    """The roles.

    `users` has the roles of the deployment file's researchers, by profile. `default` is for other researchers. `shared`
    is for apps of shared spaces, `processing` for jobs, and `image` for SageMaker's reads of images.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: ResearchNames,
        settings: ResearchConfig,
        bucket: s3.IBucket,
        key: kms.IKey,
        network: ResearchNetwork,
        repositories: Sequence[ecr.IRepository],
    ) -> None:
        super().__init__(scope, id)
        self._names, self._settings = names, settings
        self._bucket, self._key = bucket, key

        self.processing = self._add("Processing", names.processing_role.name)
        self._allow_data(self.processing, [SHARED])
        self._allow_job_runtime(self.processing, network)

        self.image = self._add("Image")
        for repository in repositories:
            grant_pull(repository, self.image)
            repository.grant(self.image, "ecr:DescribeImages")
            grant_pull(repository, self.processing)

        if settings.job_image and (job_repository := repository_of(settings.job_image)):
            grant_pull_from(job_repository.arn, self.processing)

        studio = StudioPolicy(
            self,
            "StudioPolicy",
            names=names,
            settings=settings,
            network=network,
            processing_role=self.processing,
            key=key,
        )
        self.shared = self._add("SharedSpaces", policies=[studio])
        self._allow_data(self.shared, [SHARED])
        # SageMaker sets the profile's name as the session's source identity, which a session cannot change.
        self.default = self._add("Researcher", names.default_studio_role.name, policies=[studio])
        self._allow_data(self.default, [SHARED])
        self._allow_prefixes(
            self.default,
            "PrivatePrefix",
            [f"{USERS}${{aws:SourceIdentity}}/"],
            # A session without an identity has no private prefix.
            {"Null": {"aws:SourceIdentity": "false"}},
        )
        self.users: dict[str, iam.Role] = {}
        for user in settings.users:
            role = self._add(f"User-{user.profile}", names.studio_role(user).name, policies=[studio])
            self._allow_data(role, [SHARED, f"{USERS}{user.profile}/"])
            self.users[user.profile] = role

    def _add(self, id: str, name: str | None = None, policies: Sequence[iam.IManagedPolicy] = ()) -> SageMakerRole:
        return SageMakerRole(self, id, account=self._names.place.account, role_name=name, managed_policies=policies)

    def _allow_data(self, role: iam.Role, prefixes: Sequence[str]) -> None:
        """Allow the role to use these prefixes of the data bucket, and to read the readable buckets."""
        bucket = self._bucket.bucket_arn
        self._allow_prefixes(role, "OwnPrefixes", prefixes)
        allow(role, sid="FindBucket", actions=["s3:GetBucketLocation"], resources=[bucket])
        allow(
            role,
            sid="UseKeyThroughS3",
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=[self._key.key_arn],
            conditions={"StringEquals": {"kms:ViaService": self._names.via_service}},
        )
        if self._settings.readable_buckets:
            arns = [self._names.place.bucket(name).arn for name in self._settings.readable_buckets]
            allow(
                role,
                sid="ReadReadableBuckets",
                actions=["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"],
                resources=[*arns, *(f"{arn}/*" for arn in arns)],
                wildcards="Buckets that the deployment file names.",
            )

    def _allow_prefixes(
        self,
        role: iam.Role,
        sid: str,
        prefixes: Sequence[str],
        conditions: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        allow(
            role,
            sid=f"List{sid}",
            actions=["s3:ListBucket"],
            resources=[self._bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}, **(conditions or {})},
        )
        allow(
            role,
            sid=f"ReadAndWrite{sid}",
            actions=[
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                "s3:ListMultipartUploadParts",
            ],
            resources=[self._bucket.arn_for_objects(f"{prefix}*") for prefix in prefixes],
            conditions=conditions,
            wildcards="Prefixes of the data bucket.",
        )

    def _allow_job_runtime(self, role: iam.Role, network: ResearchNetwork) -> None:
        """Allow SageMaker's own actions during a job: its log, its metrics and its network interfaces."""
        named = self._names.place.named
        interfaces = named("ec2", "*", "network-interface/").arn
        subnets = [named("ec2", subnet_id, "subnet/").arn for subnet_id in network.subnet_ids]
        allow(
            role,
            sid="WriteLog",
            actions=["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[named("logs", "/aws/sagemaker/ProcessingJobs*", "log-group:").arn],
            wildcards="The log group and its streams.",
        )
        allow(
            role,
            sid="PublishMetrics",
            actions=["cloudwatch:PutMetricData"],
            resources=["*"],
            conditions={"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/ProcessingJobs"}},
            wildcards="Metrics have no ARN; a condition restricts the namespace.",
        )
        allow(
            role,
            sid="CreateInterfaces",
            actions=["ec2:CreateNetworkInterface"],
            resources=[
                interfaces,
                named("ec2", network.jobs.security_group_id, "security-group/").arn,
                *subnets,
            ],
        )
        allow(
            role,
            sid="UseOwnInterfaces",
            actions=[
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            resources=[interfaces],
            conditions={"ArnEquals": {"ec2:Subnet": subnets}},
            wildcards="An interface has no name before its creation. The subnet and the security group are named.",
        )
        allow(
            role,
            sid="DescribeNetwork",
            actions=[
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ],
            resources=["*"],
            wildcards="EC2 describes all resources or none.",
        )
