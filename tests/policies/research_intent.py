"""Statement of intent for a research environment: the part of `intent.py` that its stack implements.

No principal of another account has access. Researchers have the shared prefix, their own prefix and their own spaces,
and start jobs with one role. Services assume all other roles, for this account.
"""

import re
from collections.abc import Iterator

from aws_cdk import FileSystem

from access.inventory import Inventory
from stacks.deployment import Deployment, ResearchDeployment
from stacks.deployment.names import SHARED, USERS
from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig
from tests.policies.terms import (
    ECR_LOGIN,
    ECR_PULL,
    ECR_PUSH,
    LOG,
    AnyPrincipal,
    Grant,
    Intent,
    Like,
    Permission,
    ResourceIntent,
    Service,
    add_async_provider,
    add_auto_delete,
    add_build,
    add_function,
    arn,
    asset_bucket,
    auto_delete,
    key,
    research_names,
    start_builds,
    via_s3,
)

ANY_VALUE = (Like("*"),)
LOG_GROUPS = ("/aws/sagemaker/studio", "/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/NotebookInstances")
"""SageMaker's log groups of apps, jobs and notebook instances."""
NAMED_SESSION = ("sts:AssumeRole", "sts:SetSourceIdentity")
"""SageMaker sets the researcher as source identity, which the session cannot change."""
_READ_AND_WRITE = (
    *("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject"),
    *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
)
S3_READ_BUCKET = ("s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation")


def boundary_permissions(
    deployment: Deployment | ResearchDeployment, research: ResearchConfig
) -> tuple[Permission, ...]:
    """Return the permissions that the example's permissions boundary allows any role.

    These are the environment's services, and of IAM only passing the deployment's own roles to SageMaker.
    """
    services = (
        *("sagemaker:*", "s3:*", "kms:*", "ecr:*", "logs:*", "codebuild:*", "xray:*", "states:StartExecution"),
        *("lambda:GetFunction", "lambda:InvokeFunction", "cloudwatch:PutMetricData", "ec2:Describe*"),
        *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
        *("ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterfacePermission"),
    )
    roles = f"arn:{partition(research.region)}:iam::{research.account}:role/{deployment.name}"
    passed = (f"{roles}-processing", f"{roles}-studio", f"{roles}-research-Roles*")
    return Permission(services, ("*",)), _pass_to_sagemaker(*passed)


def add_research(
    intent: Intent, deployment: Deployment | ResearchDeployment, research: ResearchConfig, inventory: Inventory
) -> None:
    """Add a research environment to an intent."""
    environment = _Environment(intent, deployment, research, inventory)
    environment.add_data()
    environment.add_network()
    environment.add_images()
    environment.add_researchers()
    environment.add_processing_role()
    environment.add_pipelines()
    environment.add_clean_up()
    if research.workstation:
        environment.add_workstation()
    add_auto_delete(intent, deployment, inventory, research_names(deployment).stack)


def _pass_to_sagemaker(*roles: str) -> Permission:
    return Permission(("iam:PassRole",), roles, {"iam:PassedToService": ("sagemaker.amazonaws.com",)})


class _Environment:
    def __init__(
        self,
        intent: Intent,
        deployment: Deployment | ResearchDeployment,
        research: ResearchConfig,
        inventory: Inventory,
    ) -> None:
        self._intent, self._deployment, self._research, self._inventory = intent, deployment, research, inventory
        self._names = research_names(deployment)
        self._home, self._region = research.account, research.region
        self._bucket = self._names.data_bucket.arn
        self._key = self._named("Key")
        self._processing = self._names.processing_role.arn
        self._sagemaker = Service("sagemaker.amazonaws.com", account=self._home)
        self._pipelines = tuple(self._names.pipeline(pipeline.name).arn for pipeline in research.pipelines)
        self._repositories = tuple(self._names.image_repository(image).arn for image in research.images)
        buckets = [f"arn:{partition(self._region)}:s3:::{bucket}" for bucket in research.readable_buckets]
        self._readable = tuple(f"{bucket}{suffix}" for bucket in buckets for suffix in ("", "/*"))

    def add_data(self) -> None:
        grants = tuple(auto_delete(self._deployment, self._inventory, self._names.stack, self._bucket))
        self._intent.add(
            ResourceIntent("bucket", self._bucket, self._home, grants, tls_actions=("s3:*",)),
            key(self._key, self._home),
        )

    # The network -----------------------------------------------------------------------------------------------------

    def add_network(self) -> None:
        """Add the VPC endpoints, which require this account's credentials, and the role of the flow logs."""
        if self._research.vpc_id:
            return
        own = {"aws:PrincipalAccount": (self._home,)}
        # ECR stores the layers of images there.
        layers = f"arn:{partition(self._region)}:s3:::prod-{self._region}-starport-layer-bucket/*"
        to_s3 = [
            Grant(AnyPrincipal(), ("s3:*",), ("*",), {**own, "aws:ResourceAccount": (self._home,)}),
            Grant(AnyPrincipal(), ("s3:GetObject",), (layers,)),
        ]
        if self._readable:
            to_s3.append(Grant(AnyPrincipal(), S3_READ_BUCKET, self._readable, own))
        self._add_endpoint("NetworkVpcS3", *to_s3)
        if self._research.network == "vpc-only":
            for name in ("SageMakerApi", "SageMakerRuntime", "EcrApi", "EcrDocker", "Sts", "Logs", "Kms"):
                self._add_endpoint(f"Network{name}", Grant(AnyPrincipal(), ("*",), ("*",), own))
            # A browser's requests to Studio are not signed.
            self._add_endpoint("NetworkStudio", Grant(AnyPrincipal(), ("*",), ("*",)))
        logs = self._named("NetworkFlowLogRole")
        self._intent.add_role(logs, Service("vpc-flow-logs.amazonaws.com", account=self._home))
        self._intent.allow(logs, Permission((*LOG, "logs:DescribeLogStreams"), (self._named("NetworkFlowLogs"),)))

    def _add_endpoint(self, construct: str, *grants: Grant) -> None:
        self._intent.add(ResourceIntent("endpoint", self._named(construct), self._home, grants))

    # Images ----------------------------------------------------------------------------------------------------------

    def add_images(self) -> None:
        """Add the images, which CodeBuild builds and SageMaker pulls."""
        intent, images, projects, build_logs = self._intent, self._research.images, [], []
        for image in images:
            repository = self._names.image_repository(image).arn
            intent.add(ResourceIntent("repository", repository, self._home))
            for target in sorted(set(image.targets)):
                build = f"Image-{image.name}Build-{target}"
                role, log = self._named(f"{build}Role"), self._named(f"{build}Logs")
                projects.append(self._named(f"{build}Project"))
                build_logs.append(log)
                add_build(intent, role, contexts=self._assets, log=log, repository=repository)
                use = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
                intent.allow(role, Permission(use, (self._key,)))
        pulling = self._named("RolesImage")
        intent.add_role(pulling, self._sagemaker, NAMED_SESSION)
        if images:
            intent.allow(pulling, Permission((*ECR_PULL, "ecr:DescribeImages"), self._repositories), ECR_LOGIN)
            role = self._named("ImageBuilderBuildRole")
            function = add_function(intent, role, self._region, self._names.image_build_function.name)
            intent.allow(role, *start_builds(tuple(projects), self._repositories, tuple(build_logs)))
            add_async_provider(intent, self._inventory, self._names.stack, "ImageBuilderProvider", function)

    # Researchers and jobs --------------------------------------------------------------------------------------------

    def add_researchers(self) -> None:
        default = self._names.default_studio_role.arn
        own_prefixes = {
            default: (),
            self._named("RolesSharedSpaces"): (),
            **{self._names.studio_role(user).arn: (f"{USERS}{user.profile}/",) for user in self._research.users},
        }
        for role, prefixes in own_prefixes.items():
            self._intent.add_role(role, self._sagemaker, NAMED_SESSION)
            self._intent.allow(
                role,
                *self._read_and_write(SHARED, *prefixes),
                *self._use_studio(),
                *self._start_jobs(),
            )
        # Researchers without a user profile in the deployment file are distinguished by the source identity.
        private, named = f"{USERS}${{aws:SourceIdentity}}/*", {"aws:SourceIdentity": ANY_VALUE}
        self._intent.allow(
            default,
            Permission(("s3:ListBucket",), (self._bucket,), {**named, "s3:prefix": (Like(private),)}),
            Permission(_READ_AND_WRITE, (f"{self._bucket}/{private}",), named),
        )

    def add_processing_role(self) -> None:
        self._intent.add_role(self._processing, self._sagemaker, NAMED_SESSION)
        self._intent.allow(self._processing, *self._read_and_write(SHARED), *self._run_jobs(), *self._read_scripts())

    def _read_and_write(self, *prefixes: str) -> Iterator[Permission]:
        """Yield access to these prefixes of the data bucket, and read access to the readable buckets."""
        s3_prefix = {"s3:prefix": tuple(Like(f"{prefix}*") for prefix in prefixes)}
        yield Permission(("s3:ListBucket",), (self._bucket,), s3_prefix)
        yield Permission(_READ_AND_WRITE, tuple(f"{self._bucket}/{prefix}*" for prefix in prefixes))
        yield Permission(("s3:GetBucketLocation",), (self._bucket,))
        yield Permission(("kms:Decrypt", "kms:GenerateDataKey"), (self._key,), via_s3(self._region))
        if self._readable:
            yield Permission(S3_READ_BUCKET, self._readable)

    def _use_studio(self) -> Iterator[Permission]:
        """Yield the permissions in Studio: the own sign-on, own private and shared spaces, and the instance types."""
        profile = self._in_sagemaker("user-profile/${sagemaker:DomainId}/${sagemaker:UserProfileName}")
        spaces, apps = (self._in_sagemaker(f"{kind}/${{sagemaker:DomainId}}/*") for kind in ("space", "app"))
        own = {"sagemaker:OwnerUserProfileArn": (Like(profile),)}
        sizes = {"sagemaker:InstanceTypes": (*self._research.instance_types, "system")}
        yield Permission(("sagemaker:CreatePresignedDomainUrl",), (profile,))
        yield Permission(
            _actions(
                *("ListApps", "ListDomains", "ListSpaces", "ListUserProfiles", "ListImages", "ListImageVersions"),
                *("DescribeApp", "DescribeDomain", "DescribeSpace", "DescribeUserProfile"),
                *("DescribeImage", "DescribeImageVersion", "DescribeAppImageConfig"),
            ),
            ("*",),
        )
        yield Permission(
            _actions("CreateSpace", "UpdateSpace", "DeleteSpace"),
            (spaces,),
            {**own, "sagemaker:SpaceSharingType": ("Private", "Shared")},
        )
        for space in (
            {**own, "sagemaker:SpaceSharingType": ("Private",)},
            {"sagemaker:SpaceSharingType": ("Shared",)},
        ):
            yield Permission(("sagemaker:CreateApp",), (apps,), space, conditions_if_present=sizes)
            yield Permission(("sagemaker:DeleteApp",), (apps,), space)
        # Tags are added during the creation of a resource only.
        yield Permission(
            ("sagemaker:AddTags",),
            (self._in_sagemaker("app/*"), self._in_sagemaker("space/*"), self._own_jobs),
            {"sagemaker:TaggingAction": ANY_VALUE},
        )
        yield Permission((*LOG, "logs:CreateLogGroup"), (f"{self._log_group('/aws/sagemaker/studio')}:*",))
        yield from self._encrypt_volumes()
        if self._pipelines:
            yield Permission(
                _actions(
                    *("StartPipelineExecution", "StopPipelineExecution", "DescribePipeline"),
                    *("DescribePipelineExecution", "ListPipelineExecutions", "ListPipelineExecutionSteps"),
                    "ListPipelineParametersForExecution",
                ),
                tuple(resource for arn in self._pipelines for resource in (arn, f"{arn}/execution/*")),
            )
            yield Permission(("sagemaker:ListPipelines",), ("*",))

    def _encrypt_volumes(self) -> Iterator[Permission]:
        """Yield the permissions with which SageMaker creates a grant, as the caller that starts an app or a job."""
        yield Permission(("kms:DescribeKey",), (self._key,))
        yield Permission(("kms:CreateGrant",), (self._key,), {"kms:GrantIsForAWSResource": ("true",)})

    def _start_jobs(self) -> Iterator[Permission]:
        """Yield the permissions for jobs with the deployment's name, the processing role, and the network."""
        yield Permission(
            ("sagemaker:CreateProcessingJob",),
            (self._own_jobs,),
            {"sagemaker:VpcSubnets": self._subnets} if self._research.network == "vpc-only" else {},
            conditions_if_present={
                "sagemaker:InstanceTypes": self._research.job_instance_types,
                "sagemaker:VpcSecurityGroupIds": (self._named("NetworkJobs").rpartition("/")[2],),
            },
        )
        yield Permission(_actions("DescribeProcessingJob", "StopProcessingJob"), (self._own_jobs,))
        yield Permission(("sagemaker:ListProcessingJobs",), ("*",))
        yield _pass_to_sagemaker(self._processing)
        group = self._job_logs
        yield Permission(("logs:GetLogEvents",), (f"{group}:log-stream:{self._names.job_prefix}*",))
        yield Permission(("logs:DescribeLogStreams",), (f"{group}:*",))

    def _run_jobs(self) -> Iterator[Permission]:
        """Yield the permissions with which SageMaker runs a job as the processing role."""
        yield Permission((*LOG, "logs:CreateLogGroup", "logs:DescribeLogStreams"), (f"{self._job_logs}*",))
        namespace = {"cloudwatch:namespace": ("/aws/sagemaker/ProcessingJobs",)}
        yield Permission(("cloudwatch:PutMetricData",), ("*",), namespace)
        interfaces = self._in_ec2("network-interface/*")
        subnets = tuple(self._in_ec2(f"subnet/{subnet}") for subnet in self._subnets)
        yield Permission(("ec2:CreateNetworkInterface",), (interfaces, self._named("NetworkJobs"), *subnets))
        yield Permission(
            (
                *("ec2:DeleteNetworkInterface", "ec2:CreateNetworkInterfacePermission"),
                "ec2:DeleteNetworkInterfacePermission",
            ),
            (interfaces,),
            {"ec2:Subnet": subnets},
        )
        described = ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")
        yield Permission(tuple(f"ec2:Describe{resource}" for resource in described), ("*",))
        if self._research.images:
            yield Permission(ECR_PULL, self._repositories)
            yield ECR_LOGIN

    # Pipelines -------------------------------------------------------------------------------------------------------

    def add_pipelines(self) -> None:
        intent = self._intent
        for pipeline, pipeline_arn in zip(self._research.pipelines, self._pipelines, strict=True):
            role = self._named(f"Pipeline-{pipeline.name}Role")
            jobs = (f"{pipeline_arn.replace(':pipeline/', ':processing-job/')}--job-*",)
            sizes = {"sagemaker:InstanceTypes": self._research.pipeline_instance_types}
            intent.add_role(role, self._sagemaker, NAMED_SESSION)
            intent.allow(
                role,
                Permission(("sagemaker:CreateProcessingJob",), jobs, sizes),
                Permission(_actions("AddTags", "DescribeProcessingJob", "StopProcessingJob"), jobs),
                _pass_to_sagemaker(self._processing),
                *self._encrypt_volumes(),
            )
            if pipeline.schedule:
                self._add_schedule(
                    f"Pipeline-{pipeline.name}ScheduleRole", "sagemaker:StartPipelineExecution", pipeline_arn
                )

    def _add_schedule(self, construct: str, action: str, resource: str) -> None:
        """Add the role of a schedule, which is encrypted with the environment's key."""
        role = self._named(construct)
        self._intent.add_role(role, Service("scheduler.amazonaws.com", account=self._home))
        self._intent.allow(role, Permission((action,), (resource,)), Permission(("kms:Decrypt",), (self._key,)))

    def _read_scripts(self) -> Iterator[Permission]:
        """Yield access to the pipelines' scripts. Each is one asset."""
        for pipeline in self._research.pipelines:
            script = f"{FileSystem.fingerprint(str(pipeline.file))}.py"
            yield Permission(("s3:GetObject",), (f"{self._assets}/{script}",))
            yield Permission(("s3:ListBucket",), (self._assets,), {"s3:prefix": (script,)})

    # Clean-up --------------------------------------------------------------------------------------------------------

    def add_clean_up(self) -> None:
        """Add the function that empties the domain before CloudFormation deletes it."""
        domain = self._named("Domain", hashed=False).rpartition("/")[2]
        role = self._named("CleanUpFunctionRole")
        function = add_function(self._intent, role, self._region, self._names.clean_up_function.name)
        executions = tuple(f"{pipeline}/execution/*" for pipeline in self._pipelines)
        self._intent.allow(
            role,
            Permission(_actions("ListApps", "ListSpaces", "ListUserProfiles", "ListProcessingJobs"), ("*",)),
            Permission(("sagemaker:DeleteApp",), (self._in_sagemaker(f"app/{domain}/*"),)),
            Permission(("sagemaker:DeleteSpace",), (self._in_sagemaker(f"space/{domain}/*"),)),
            Permission(("sagemaker:DeleteUserProfile",), (self._in_sagemaker(f"user-profile/{domain}/*"),)),
            Permission(("sagemaker:StopProcessingJob",), (self._own_jobs,)),
            Permission(
                ("logs:CreateLogGroup", "logs:PutRetentionPolicy"),
                tuple(f"{group}{end}" for group in map(self._log_group, LOG_GROUPS) for end in ("", ":*")),
            ),
            Permission(("logs:DescribeLogGroups",), ("*",)),
            Permission(("sagemaker:ListPipelineExecutions",), self._pipelines),
            Permission(("sagemaker:StopPipelineExecution",), executions),
        )
        add_async_provider(self._intent, self._inventory, self._names.stack, "CleanUpProvider", function)

    # The administrator's workstation ---------------------------------------------------------------------------------

    def add_workstation(self) -> None:
        role, names = self._named("WorkstationRole"), self._names
        passed = (self._named("RolesImage"), names.default_studio_role.arn, self._named("RolesSharedSpaces"))
        self._intent.add_role(role, self._sagemaker, NAMED_SESSION)
        self._intent.allow(
            role,
            Permission(_actions("UpdateDomain", "DescribeDomain"), (self._named("Domain", hashed=False),)),
            _pass_to_sagemaker(*passed),
        )
        apps = [(image, app) for image in self._research.images for app in image.apps]
        if apps:
            images = [names.sagemaker_image(image, app).name for image, app in apps]
            resources = (name for image in images for name in (f"image/{image}", f"image-version/{image}/*"))
            configs = tuple(names.app_image_config(image, app).arn for image, app in apps)
            self._intent.allow(
                role,
                Permission((*ECR_PULL, *ECR_PUSH), self._repositories),
                ECR_LOGIN,
                Permission(
                    _actions("CreateImage", "CreateImageVersion", "DescribeImage", "DescribeImageVersion"),
                    tuple(map(self._in_sagemaker, resources)),
                ),
                Permission(_actions("CreateAppImageConfig", "UpdateAppImageConfig", "DescribeAppImageConfig"), configs),
            )
        instance = self._in_sagemaker(f"notebook-instance/{names.workstation}")
        self._add_schedule("WorkstationStopRole", "sagemaker:StopNotebookInstance", instance)

    # Names -----------------------------------------------------------------------------------------------------------

    def _named(self, construct: str, *, hashed: bool = True) -> str:
        return self._inventory.arn_of(self._names.stack, re.sub(r"[^A-Za-z0-9]", "", construct), hashed=hashed)

    def _in_sagemaker(self, resource: str) -> str:
        return arn("sagemaker", self._region, self._home, resource)

    def _in_ec2(self, resource: str) -> str:
        return arn("ec2", self._region, self._home, resource)

    @property
    def _assets(self) -> str:
        return asset_bucket(self._region, self._home)

    @property
    def _own_jobs(self) -> str:
        return self._in_sagemaker(f"processing-job/{self._names.job_prefix}*")

    @property
    def _job_logs(self) -> str:
        return self._log_group("/aws/sagemaker/ProcessingJobs")

    def _log_group(self, name: str) -> str:
        return arn("logs", self._region, self._home, f"log-group:{name}")

    @property
    def _subnets(self) -> tuple[str, ...]:
        return self._research.subnet_ids or tuple(
            self._named(f"NetworkVpcPrivateSubnet{number}Subnet").rpartition("/")[2] for number in (1, 2)
        )


def _actions(*names: str) -> tuple[str, ...]:
    return tuple(f"sagemaker:{name}" for name in names)
