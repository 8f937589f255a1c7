"""The statement of intent for a research environment: part of `intent.py`, and read like it.

Nobody of another account is let in to anything. Researchers have the shared prefix and their own, the spaces that are
theirs, and jobs as one role; everything else is run by services, for this account.
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
    LOG,
    PULL,
    PUSH,
    SIGN_ON_TO_REGISTRY,
    Account,
    Door,
    Everybody,
    Guard,
    Like,
    May,
    Party,
    Service,
    arn,
    assets,
    builds,
    built,
    emptied,
    our_function,
    research_names,
    run_by,
    s3_endpoint,
    waiting_provider,
    with_emptying,
)

ANY = (Like("*"),)
"""Of a context key: there, whatever it is."""
TRUST = ("sts:AssumeRole",)
TRUST_NAMING = ("sts:AssumeRole", "sts:SetSourceIdentity")
"""SageMaker also says who the researcher is, which nobody in the session can change."""
S3_LOOK = ("s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation")


def boundary(deployment: Deployment | ResearchDeployment, meant: ResearchConfig) -> tuple[May, ...]:
    """What a permission boundary such as the example's leaves to any role: the services that the environment is made
    of, and of IAM nothing but handing the deployment's own roles to SageMaker."""
    services = (
        *("sagemaker:*", "s3:*", "kms:*", "ecr:*", "logs:*", "codebuild:*", "xray:*", "states:StartExecution"),
        *("lambda:GetFunction", "lambda:InvokeFunction", "cloudwatch:PutMetricData", "ec2:Describe*"),
        *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
        *("ec2:CreateNetworkInterfacePermission", "ec2:DeleteNetworkInterfacePermission"),
    )
    own = f"arn:{partition(meant.region)}:iam::{meant.account}:role/{deployment.name}-*"
    return (
        May(services, ("*",)),
        May(("iam:PassRole",), (own,), {"iam:PassedToService": ("sagemaker.amazonaws.com",)}),
    )


def research(deployment: Deployment | ResearchDeployment, meant: ResearchConfig, found: Inventory) -> Party:
    return _Environment(deployment, meant, found).party()


class _Environment:
    def __init__(self, deployment: Deployment | ResearchDeployment, meant: ResearchConfig, found: Inventory) -> None:
        self._deployment, self._research, self._found = deployment, meant, found
        self._home, self._region = meant.account, meant.region
        self._stack = research_names(deployment).stack
        self._bucket = f"arn:{partition(self._region)}:s3:::{research_names(deployment).data_bucket.name}"
        self._key = self._named("Key")
        self._processing = self._role(research_names(deployment).processing_role.name)
        self._guards: list[Guard] = []
        self._jobs: dict[str, tuple[May, ...]] = {}

    def party(self) -> Party:
        self._data()
        self._network()
        self._images()
        self._researchers()
        self._run_by(self._processing, Service("sagemaker.amazonaws.com", account=self._home), TRUST_NAMING)
        self._jobs[self._processing] = (
            *self._reads_and_writes(SHARED),
            *self._runs_jobs(),
            *self._reads_scripts(),
        )
        self._pipelines()
        self._clean_up()
        if self._research.workstation:
            self._workstation()
        return with_emptying(self._deployment, self._found, self._stack, self._home, self._guards, self._jobs)

    def _data(self) -> None:
        doors = tuple(emptied(self._deployment, self._found, self._stack, self._bucket))
        self._guards += [
            Guard("bucket", self._bucket, self._home, doors, over_tls=("s3:*",)),
            Guard(
                "key",
                self._key,
                self._home,
                (Door("left to the account's own policies", Account(self._home), ("kms:*",), (self._key,)),),
            ),
        ]

    # The network: what goes out, and with whose credentials ----------------------------------------------------------

    def _network(self) -> None:
        if self._research.vpc_id:
            return
        own = {"aws:PrincipalAccount": (self._home,)}
        layers = f"arn:{partition(self._region)}:s3:::prod-{self._region}-starport-layer-bucket/*"
        to_s3 = [
            Door("own buckets", Everybody(), ("s3:*",), ("*",), {**own, "aws:ResourceAccount": (self._home,)}),
            Door("layers of images, which ECR hands out", Everybody(), ("s3:GetObject",), (layers,)),
        ]
        if self._readable:
            to_s3.append(Door("readable buckets", Everybody(), S3_LOOK, self._readable, own))
        self._endpoint("NetworkVpcS3", *to_s3)
        for name in ("SageMakerApi", "SageMakerRuntime", "EcrApi", "EcrDocker", "Sts", "Logs", "Kms"):
            self._endpoint(f"Network{name}", Door("own credentials", Everybody(), ("*",), ("*",), own))
        self._endpoint("NetworkStudio", Door("a browser's session, unsigned", Everybody(), ("*",), ("*",)))
        logs = self._named("NetworkFlowLogRole")
        self._run_by(logs, Service("vpc-flow-logs.amazonaws.com", account=self._home))
        self._jobs[logs] = (May((*LOG, "logs:DescribeLogStreams"), (self._named("NetworkFlowLogs"),)),)

    def _endpoint(self, construct: str, *doors: Door) -> None:
        self._guards.append(Guard("endpoint", self._named(construct), self._home, doors))

    # Images: built by CodeBuild, fetched by SageMaker ----------------------------------------------------------------

    def _images(self) -> None:
        projects, build_logs = [], []
        for image in self._research.images:
            repository = self._repository(image.name)
            self._guards.append(Guard("repository", repository, self._home))
            for target in sorted(set(image.targets)):
                build = f"Image-{image.name}Build-{target}"
                role, log = self._named(f"{build}Role"), self._named(f"{build}Logs")
                projects.append(self._named(f"{build}Project"))
                build_logs.append(log)
                self._add(built(role, self._home, contexts=self._assets, log=log, repository=repository))
                self._jobs[role] += (
                    May(("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"), (self._key,)),
                )
        fetching = self._named("RolesImage")
        self._run_by(fetching, Service("sagemaker.amazonaws.com", account=self._home), TRUST_NAMING)
        self._jobs[fetching] = ()
        if self._research.images:
            self._jobs[fetching] = (May((*PULL, "ecr:DescribeImages"), self._repositories), SIGN_ON_TO_REGISTRY)
            self._function("ImageBuilderBuild", research_names(self._deployment).image_build_function.name)
            self._jobs[self._named("ImageBuilderBuildRole")] += builds(
                tuple(projects), self._repositories, tuple(build_logs)
            )
            self._waiting_provider("ImageBuilderProvider", research_names(self._deployment).image_build_function.name)

    # Researchers, and their jobs -------------------------------------------------------------------------------------

    def _researchers(self) -> None:
        deployment, sagemaker = self._deployment, Service("sagemaker.amazonaws.com", account=self._home)
        own = {
            # Whoever has no profile in the deployment file: told apart by the name that SageMaker gives the session.
            self._role(research_names(deployment).default_studio_role.name): (f"{USERS}${{aws:SourceIdentity}}/",),
            self._named("RolesSharedSpaces"): (),
            **{
                self._role(research_names(deployment).studio_role(user).name): (f"{USERS}{user.profile}/",)
                for user in self._research.users
            },
        }
        for role, prefixes in own.items():
            self._run_by(role, sagemaker, TRUST_NAMING)
            self._jobs[role] = (
                *self._reads_and_writes(SHARED, *prefixes),
                *self._uses_studio(),
                *self._starts_jobs(),
            )

    def _reads_and_writes(self, *prefixes: str) -> Iterator[May]:
        """Below these prefixes of the data bucket, and no others; and reads the buckets that the file names."""
        yield May(("s3:ListBucket",), (self._bucket,), {"s3:prefix": tuple(Like(f"{each}*") for each in prefixes)})
        yield May(
            (
                *("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject"),
                *("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
            ),
            tuple(f"{self._bucket}/{prefix}*" for prefix in prefixes),
        )
        yield May(("s3:GetBucketLocation",), (self._bucket,))
        through_s3 = {"kms:ViaService": (s3_endpoint(self._region),)}
        yield May(("kms:Decrypt", "kms:GenerateDataKey"), (self._key,), through_s3)
        if self._readable:
            yield May(S3_LOOK, self._readable)

    def _uses_studio(self) -> Iterator[May]:
        """Signs on as itself; its own private spaces, and shared ones; looks at all; on these instances only."""
        profile = self._sagemaker("user-profile/${sagemaker:DomainId}/${sagemaker:UserProfileName}")
        spaces, apps = (self._sagemaker(f"{each}/${{sagemaker:DomainId}}/*") for each in ("space", "app"))
        mine = {"sagemaker:OwnerUserProfileArn": (Like(profile),)}
        sizes = {"sagemaker:InstanceTypes": (*self._research.instance_types, "system")}
        yield May(("sagemaker:CreatePresignedDomainUrl",), (profile,))
        yield May(
            tuple(
                f"sagemaker:{each}"
                for each in (
                    *("ListApps", "ListDomains", "ListSpaces", "ListUserProfiles", "ListImages", "ListImageVersions"),
                    *("DescribeApp", "DescribeDomain", "DescribeSpace", "DescribeUserProfile"),
                    *("DescribeImage", "DescribeImageVersion", "DescribeAppImageConfig"),
                )
            ),
            ("*",),
        )
        yield May(
            ("sagemaker:CreateSpace", "sagemaker:UpdateSpace", "sagemaker:DeleteSpace"),
            (spaces,),
            {**mine, "sagemaker:SpaceSharingType": ("Private", "Shared")},
        )
        for whose in (
            {**mine, "sagemaker:SpaceSharingType": ("Private",)},
            {"sagemaker:SpaceSharingType": ("Shared",)},
        ):
            yield May(("sagemaker:CreateApp",), (apps,), whose, within=sizes)
            yield May(("sagemaker:DeleteApp",), (apps,), whose)
        # Tags what it makes, as it makes it.
        yield May(
            ("sagemaker:AddTags",),
            (self._sagemaker("app/*"), self._sagemaker("space/*"), self._own_jobs),
            {"sagemaker:TaggingAction": ANY},
        )
        yield from self._encrypts_volumes()
        if arns := tuple(each for arn in self._pipeline_arns for each in (arn, f"{arn}/execution/*")):
            yield May(
                tuple(
                    f"sagemaker:{each}"
                    for each in (
                        *("StartPipelineExecution", "StopPipelineExecution", "DescribePipeline"),
                        *("DescribePipelineExecution", "ListPipelineExecutions", "ListPipelineExecutionSteps"),
                        "ListPipelineParametersForExecution",
                    )
                ),
                arns,
            )
            yield May(("sagemaker:ListPipelines",), ("*",))

    def _encrypts_volumes(self) -> Iterator[May]:
        """SageMaker asks for a grant as whoever starts them."""
        yield May(("kms:DescribeKey",), (self._key,))
        yield May(("kms:CreateGrant",), (self._key,), {"kms:GrantIsForAWSResource": ("true",)})

    def _starts_jobs(self) -> Iterator[May]:
        """Under the deployment's name, as the processing role and no other, inside the network."""
        yield May(
            ("sagemaker:CreateProcessingJob",),
            (self._own_jobs,),
            {"sagemaker:VpcSubnets": self._subnets} if self._research.network == "vpc-only" else {},
            within={"sagemaker:InstanceTypes": (*self._research.instance_types, "system")},
        )
        yield May(("sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"), (self._own_jobs,))
        yield May(("sagemaker:ListProcessingJobs",), ("*",))
        yield May(("iam:PassRole",), (self._processing,), {"iam:PassedToService": ("sagemaker.amazonaws.com",)})
        group = arn("logs", self._region, self._home, "log-group:/aws/sagemaker/ProcessingJobs")
        yield May(("logs:GetLogEvents",), (f"{group}:log-stream:{research_names(self._deployment).job_prefix}*",))
        yield May(("logs:DescribeLogStreams",), (f"{group}:*",))

    def _runs_jobs(self) -> Iterator[May]:
        """What SageMaker does as the role while a job runs."""
        yield May(
            (*LOG, "logs:CreateLogGroup", "logs:DescribeLogStreams"),
            (arn("logs", self._region, self._home, "log-group:/aws/sagemaker/ProcessingJobs*"),),
        )
        namespace = {"cloudwatch:namespace": ("/aws/sagemaker/ProcessingJobs",)}
        yield May(("cloudwatch:PutMetricData",), ("*",), namespace)
        interfaces = self._ec2("network-interface/*")
        subnets = tuple(self._ec2(f"subnet/{each}") for each in self._subnets)
        yield May(("ec2:CreateNetworkInterface",), (interfaces, self._named("NetworkSecurityGroup"), *subnets))
        yield May(
            tuple(
                f"ec2:{each}"
                for each in (
                    *("DeleteNetworkInterface", "CreateNetworkInterfacePermission"),
                    "DeleteNetworkInterfacePermission",
                )
            ),
            (interfaces,),
            {"ec2:Subnet": subnets},
        )
        yield May(
            tuple(
                f"ec2:Describe{each}"
                for each in ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")
            ),
            ("*",),
        )
        if self._research.images:
            yield May(PULL, self._repositories)
            yield SIGN_ON_TO_REGISTRY

    # Pipelines: jobs that nobody starts -------------------------------------------------------------------------------

    def _pipelines(self) -> None:
        for pipeline, pipeline_arn in zip(self._research.pipelines, self._pipeline_arns, strict=True):
            role = self._named(f"Pipeline-{pipeline.name}Role")
            jobs = (f"{pipeline_arn.replace(':pipeline/', ':processing-job/')}*",)
            self._run_by(role, Service("sagemaker.amazonaws.com", account=self._home))
            self._jobs[role] = (
                May(
                    ("sagemaker:CreateProcessingJob",), jobs, {"sagemaker:InstanceTypes": self._research.instance_types}
                ),
                May(("sagemaker:AddTags", "sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"), jobs),
                May(("iam:PassRole",), (self._processing,), {"iam:PassedToService": ("sagemaker.amazonaws.com",)}),
                *self._encrypts_volumes(),
            )
            if pipeline.schedule:
                starting = self._named(f"Pipeline-{pipeline.name}ScheduleRole")
                self._run_by(starting, Service("scheduler.amazonaws.com", account=self._home))
                self._jobs[starting] = (
                    May(("sagemaker:StartPipelineExecution",), (pipeline_arn,)),
                    May(("kms:Decrypt",), (self._key,)),  # the schedule is encrypted
                )

    def _reads_scripts(self) -> Iterator[May]:
        """Each the one asset that is the pipeline's script."""
        for pipeline in self._research.pipelines:
            script = f"{FileSystem.fingerprint(str(pipeline.file))}.py"
            yield May(("s3:GetObject",), (f"{self._assets}/{script}",))
            yield May(("s3:ListBucket",), (self._assets,), {"s3:prefix": (script,)})

    # What CloudFormation has done for it ------------------------------------------------------------------------------

    def _clean_up(self) -> None:
        name = research_names(self._deployment).clean_up_function.name
        domain = self._named("Domain", hashed=False).rpartition("/")[2]
        self._function("CleanUpFunction", name)
        self._jobs[self._named("CleanUpFunctionRole")] += (
            May(
                tuple(f"sagemaker:List{each}" for each in ("Apps", "Spaces", "UserProfiles", "ProcessingJobs")), ("*",)
            ),
            May(("sagemaker:DeleteApp",), (self._sagemaker(f"app/{domain}/*"),)),
            May(("sagemaker:DeleteSpace",), (self._sagemaker(f"space/{domain}/*"),)),
            May(("sagemaker:DeleteUserProfile",), (self._sagemaker(f"user-profile/{domain}/*"),)),
            May(("sagemaker:DescribeProcessingJob", "sagemaker:StopProcessingJob"), (self._own_jobs,)),
            May(("sagemaker:ListPipelineExecutions",), self._pipeline_arns),
            May(("sagemaker:StopPipelineExecution",), tuple(f"{each}/execution/*" for each in self._pipeline_arns)),
        )
        self._waiting_provider("CleanUpProvider", name)

    def _function(self, construct: str, name: str) -> None:
        self._add(our_function(self._named(f"{construct}Role"), self._region, self._home, name))

    def _waiting_provider(self, provider: str, function: str) -> None:
        ours = arn("lambda", self._region, self._home, f"function:{function}")
        self._add(waiting_provider(self._found, self._stack, provider, self._home, ours))

    def _add(self, party: Party) -> None:
        self._guards += party[0]
        self._jobs |= party[1]

    # The administrator's workstation ---------------------------------------------------------------------------------

    def _workstation(self) -> None:
        role, stopping = self._named("WorkstationRole"), self._named("WorkstationStopRole")
        self._run_by(role, Service("sagemaker.amazonaws.com", account=self._home))
        passed = (
            self._named("RolesImage"),
            self._role(research_names(self._deployment).default_studio_role.name),
            self._named("RolesSharedSpaces"),
        )
        self._jobs[role] = (
            May(("sagemaker:UpdateDomain", "sagemaker:DescribeDomain"), (self._named("Domain", hashed=False),)),
            May(("iam:PassRole",), passed, {"iam:PassedToService": ("sagemaker.amazonaws.com",)}),
        )
        apps = [(image, app) for image in self._research.images for app in image.apps]
        if apps:
            images = [research_names(self._deployment).sagemaker_image(image, app).name for image, app in apps]
            configs = [research_names(self._deployment).app_image_config(image, app).name for image, app in apps]
            self._jobs[role] += (
                May((*PULL, *PUSH), self._repositories),
                SIGN_ON_TO_REGISTRY,
                May(
                    tuple(
                        f"sagemaker:{verb}Image{what}" for verb in ("Create", "Describe") for what in ("", "Version")
                    ),
                    tuple(
                        self._sagemaker(each)
                        for image in images
                        for each in (f"image/{image}", f"image-version/{image}/*")
                    ),
                ),
                May(
                    tuple(f"sagemaker:{verb}AppImageConfig" for verb in ("Create", "Update", "Describe")),
                    tuple(self._sagemaker(f"app-image-config/{config}") for config in configs),
                ),
            )
        self._run_by(stopping, Service("scheduler.amazonaws.com", account=self._home))
        instance = self._sagemaker(f"notebook-instance/{research_names(self._deployment).workstation}")
        self._jobs[stopping] = (
            May(("sagemaker:StopNotebookInstance",), (instance,)),
            May(("kms:Decrypt",), (self._key,)),  # the schedule is encrypted
        )

    # Names -----------------------------------------------------------------------------------------------------------

    def _run_by(self, role: str, who: Service, how: tuple[str, ...] = TRUST) -> None:
        self._guards.append(run_by(role, self._home, who, how))

    def _named(self, construct: str, *, hashed: bool = True) -> str:
        return self._found.arn_of(self._stack, re.sub(r"[^A-Za-z0-9]", "", construct), hashed=hashed)

    def _role(self, name: str) -> str:
        return f"arn:{partition(self._region)}:iam::{self._home}:role/{name}"

    def _sagemaker(self, resource: str) -> str:
        return arn("sagemaker", self._region, self._home, resource)

    def _ec2(self, resource: str) -> str:
        return arn("ec2", self._region, self._home, resource)

    def _repository(self, image: str) -> str:
        return arn("ecr", self._region, self._home, f"repository/{self._deployment.name}-research/{image}")

    @property
    def _repositories(self) -> tuple[str, ...]:
        return tuple(self._repository(image.name) for image in self._research.images)

    @property
    def _pipeline_arns(self) -> tuple[str, ...]:
        return tuple(research_names(self._deployment).pipeline(each.name).arn for each in self._research.pipelines)

    @property
    def _assets(self) -> str:
        return assets(self._region, self._home)

    @property
    def _own_jobs(self) -> str:
        return self._sagemaker(f"processing-job/{research_names(self._deployment).job_prefix}*")

    @property
    def _subnets(self) -> tuple[str, ...]:
        return self._research.subnet_ids or tuple(
            self._named(f"NetworkVpcPrivateSubnet{number}Subnet").rpartition("/")[2] for number in (1, 2)
        )

    @property
    def _readable(self) -> tuple[str, ...]:
        buckets = [f"arn:{partition(self._region)}:s3:::{bucket}" for bucket in self._research.readable_buckets]
        return tuple(f"{bucket}{suffix}" for bucket in buckets for suffix in ("", "/*"))
