"""Statement of intent for a research environment: the part of `intent.py` that its stack implements.

No principal of another account has access. Researchers have the shared prefix, their own prefix and their own spaces,
and start jobs with one role. Services assume all other roles, for this account.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from access.inventory import Inventory
from access.stack_intent import (
    DELETED,
    REMOVE_MARKERS,
    RETAINED,
    UNFINISHED,
    StackIntent,
    after_provider,
    after_role,
    any_principal,
    lifecycle_rule,
    words,
)
from access.table import PROVED, TEXT, Free, Json
from access.terms import (
    ANY_VALUE,
    ECR_LOGIN,
    ECR_PULL,
    ECR_PUSH,
    LOG,
    Intent,
    Like,
    Permission,
    may,
    via_s3,
)
from research import processing_job
from research.script import content
from stacks.deployment import Deployment, ResearchDeployment, ResearchNames
from stacks.deployment.base_images import base_images, unpinned
from stacks.deployment.dockerfile import stage_inputs
from stacks.deployment.names import SHARED, USERS, Place
from stacks.deployment.regions import has_resource_type
from stacks.deployment.research import (
    PROCESSING_TARGET,
    TARGETS,
    App,
    BudgetConfig,
    ImageConfig,
    PipelineConfig,
    ResearchConfig,
    WorkstationConfig,
)
from stacks.deployment.research_checks import fixed_values, hidden_instance_types

LOG_GROUPS = ("/aws/sagemaker/studio", "/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/NotebookInstances")
"""SageMaker's log groups of apps, jobs and notebook instances."""
NAMED_SESSION = "sts:AssumeRole sts:SetSourceIdentity"
"""SageMaker sets the researcher as source identity, which the session cannot change."""
# CDK's rule for no outbound connection: an address that nothing has.
_NOWHERE = [
    {"Description": TEXT, "CidrIp": "255.255.255.255/32", "IpProtocol": "icmp"} | {"FromPort": 252, "ToPort": 86}
]
_GUARD = "CleanUpGuard"
"""The custom resource that rejects changes of fixed keys, before the domain and its users are changed."""
_READ_AND_WRITE = (
    "s3:GetObject s3:GetObjectVersion s3:PutObject s3:DeleteObject s3:AbortMultipartUpload s3:ListMultipartUploadParts"
)
S3_READ_BUCKET = "s3:GetObject s3:ListBucket s3:GetBucketLocation"


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
    environment.add_domain()
    environment.add_users()
    environment.add_clean_up()
    if research.workstation:
        environment.add_workstation(research.workstation)
    if research.budget:
        environment.add_budget(research.budget)


def _pass_to_sagemaker(*roles: str) -> Permission:
    return may("iam:PassRole", *roles, when={"iam:PassedToService": ("sagemaker.amazonaws.com",)})


_ENDPOINTS = {
    "SageMakerApi": "sagemaker.api",
    "SageMakerRuntime": "sagemaker.runtime",
    "EcrApi": "ecr.api",
    "EcrDocker": "ecr.dkr",
    "Sts": "sts",
    "Logs": "logs",
    "Kms": "kms",
}
_PREFIXES: Mapping[str, tuple[str, Collection[str]]] = {
    "aws-cn": ("cn.com.amazonaws", ("Logs", "Kms")),
    "aws-eusc": ("eu.amazonaws", _ENDPOINTS.keys() - {"EcrApi", "EcrDocker"}),
}
"""Prefixes of endpoints' names in partitions, and the endpoints that have the common prefix there."""
_ENTRYPOINTS: Mapping[App, str] = {"JupyterLab": "start-jupyterlab", "CodeEditor": "entrypoint-code-editor"}


class _Environment:
    def __init__(
        self,
        intent: Intent,
        deployment: Deployment | ResearchDeployment,
        research: ResearchConfig,
        inventory: Inventory,
    ) -> None:
        self._intent, self._deployment, self._research, self._inventory = intent, deployment, research, inventory
        self._names = names = ResearchNames(deployment.name, research)
        tags = {"coatcheck:deployment": deployment.name}
        self._stack = stack = StackIntent(
            intent, inventory, deployment, names.stack, names.place, protected=True, tags=tags
        )
        self._home, self._region = research.account, research.region
        self._bucket, self._key, self._processing = names.data_bucket.arn, stack.att("Key"), names.processing_role.arn
        self._pipelines = tuple(names.pipeline(pipeline.name).arn for pipeline in research.pipelines)
        self._repositories = tuple(names.image_repository(image).arn for image in research.images)
        buckets = [f"arn:{stack.partition}:s3:::{bucket}" for bucket in research.readable_buckets]
        self._readable = tuple(f"{bucket}{suffix}" for bucket in buckets for suffix in ("", "/*"))
        self._jobs_group = stack.att("NetworkJobs", "GroupId")
        self._vpc = research.vpc_id or stack.ref("NetworkVpc")
        self._zones = research.availability_zones or tuple(f"zone {index} of {research.region}" for index in (0, 1))
        self._subnets = list(research.subnet_ids) or [
            stack.ref(f"NetworkVpcPrivateSubnet{number}Subnet") for number, _ in enumerate(self._zones, start=1)
        ]
        uris = {
            image.name.replace("-", "_"): self._image_uri(image, PROCESSING_TARGET)
            for image in research.images
            if image.processing
        }
        self._job_environment = processing_job.Environment(
            bucket=names.data_bucket.name,
            key=self._key,
            job_prefix=names.job_prefix,
            processing_role=self._processing,
            subnets=self._subnets,
            security_group=self._jobs_group,
            processing_image=next(iter(uris.values()), research.job_image or ""),
            other_images=uris if len(uris) > 1 else {},
        )
        self._variables = {name: value for name, value in self._job_environment.variables().items() if value}
        self._own_jobs = self._in_sagemaker(f"processing-job/{names.job_prefix}*")
        self._job_logs = self._log_group("/aws/sagemaker/ProcessingJobs")

    def _image_uri(self, image: ImageConfig, target: str) -> str:
        construct = _id("Image", image.name)
        return self._stack.image_uri(f"{construct}Repository", f"{construct}{_id('Build', target)}")

    def add_data(self) -> None:
        stack, parameter = self._stack, processing_job.parameter_name(self._deployment.name)
        stack.key("Key")
        rules = [lifecycle_rule("ExpireOldVersions", old_days=90, **UNFINISHED), REMOVE_MARKERS]
        stack.bucket("Data", self._names.data_bucket.name, key="Key", lifecycle=rules, versioned=True)
        stack.add("Environment", "AWS::SSM::Parameter", Name=parameter, Value=Json(self._variables))

    # The network -----------------------------------------------------------------------------------------------------

    def add_network(self) -> None:
        """Add the security groups, and unless it exists the network with its endpoints.

        Apps have no own sign-on. No group allows ingress from an app of another researcher, or from a job.
        """
        stack = self._stack
        workstation = ["Workstation"] if self._research.workstation else []
        clients = [f"Network{name}" for name in ("Apps", "SharedSpaces", "Jobs", *workstation)]
        profiles = [_id("NetworkProfile", user.profile) for user in self._research.users if self._research.classic]
        for group in (*clients, *profiles):
            stack.security_group(group, self._vpc)
        for group in profiles:
            self._add_ingress(group, group, 8192, 65_535)  # a researcher's own apps of Studio Classic
        if self._research.vpc_id:
            return
        own: dict[str, Any] = {"PrincipalAccount": self._home}
        # ECR stores the layers of images there.
        layers = f"arn:{stack.partition}:s3:::prod-{self._region}-starport-layer-bucket/*"
        to_s3 = [
            any_principal("s3:*", **own, ResourceAccount=self._home),
            any_principal("s3:GetObject", layers),
            *([any_principal(S3_READ_BUCKET, *self._readable, **own)] if self._readable else ()),
        ]
        subnets = {zone: f"10.0.{16 * index}.0/20" for index, zone in enumerate(self._zones)}
        stack.vpc("Network", "Private", subnets, *to_s3, policy=PROVED)
        if self._research.network == "vpc-only":
            self._add_interface_endpoints(clients, any_principal(**own))
        logs = "NetworkFlowLogs"
        role = stack.service_role(
            "NetworkFlowLogRole", "vpc-flow-logs", may(f"{LOG} logs:DescribeLogStreams", stack.att(logs))
        )
        stack.log_group(logs, removal=stack.stateful)
        given: dict[str, Any] = {"LogGroupName": stack.ref(logs), "ResourceId": self._vpc}
        stack.add("NetworkVpcFlowLog", "AWS::EC2::FlowLog", DeliverLogsPermissionArn=role, **given)

    def _add_interface_endpoints(self, clients: Iterable[str], own_principals: Permission) -> None:
        stack, endpoints = self._stack, "NetworkEndpoints"
        stack.security_group(endpoints, self._vpc, _NOWHERE)
        for client in clients:
            self._add_ingress(endpoints, client, 443, 443)
        for name, service in _ENDPOINTS.items():
            own_prefix, common = _PREFIXES.get(stack.partition, ("", _ENDPOINTS))
            prefix = "com.amazonaws" if name in common else own_prefix
            service_name = f"{prefix}.{self._region}.{service}"
            self._add_endpoint(name, own_principals, service_name, PolicyDocument=PROVED)
        # A browser's requests to Studio are not signed.
        self._add_endpoint("Studio", any_principal(), f"aws.sagemaker.{self._region}.studio")

    def _add_ingress(self, group: str, client: str, first: int, last: int) -> None:
        """Add a rule that allows connections from one security group to another."""
        ports = f"{first}{last}" if first != last else str(first)
        stack = self._stack
        stack.add(
            stack.find(rf"{group}from{words(stack.name)}{client}[0-9A-F]{{8}}{ports}"),
            "AWS::EC2::SecurityGroupIngress",
            FromPort=first,
            GroupId=stack.att(group, "GroupId"),
            SourceSecurityGroupId=stack.att(client, "GroupId"),
            ToPort=last,
        )

    def _add_endpoint(self, name: str, grant: Permission, service: str, **given: Any) -> None:
        self._stack.endpoint(
            f"Network{name}",
            grant,
            PrivateDnsEnabled=True,
            SecurityGroupIds=[self._stack.att("NetworkEndpoints", "GroupId")],
            ServiceName=service,
            SubnetIds=self._subnets,
            VpcEndpointType="Interface",
            VpcId=self._vpc,
            **given,
        )

    # Images ----------------------------------------------------------------------------------------------------------

    def add_images(self) -> None:
        """Add the images, which CodeBuild builds and SageMaker pulls."""
        stack, images, builds = self._stack, self._research.images, []
        pulling = stack.service_role("RolesImage", "sagemaker", actions=NAMED_SESSION, policy=bool(images))
        for image in images:
            construct = _id("Image", image.name)
            repository = f"{construct}Repository"
            targets = sorted(set(image.targets))
            prefixes = (f"{target}-" for target in targets)
            kept = self._research.image_builds_kept
            stack.repository(repository, self._names.image_repository(image), kept, *prefixes, key="Key")
            for target in targets:
                build = f"{construct}{_id('Build', target)}"
                builds.append((build, repository))
                stack.image_build(
                    build,
                    repository,
                    "ImageBuilder",
                    contexts=rf"{construct}Build\w+Context",
                    folders=[image.folder],
                    previous=f"{builds[-2][0]}Image" if len(builds) > 1 else "",
                    dockerfile=image.dockerfile,
                    arguments=self._build_arguments(image, target),
                    refusal=self._refusal(image, target),
                    target=target,
                    key="Key",
                )
            for app in image.apps:
                self._attach(image, app, f"{construct}{app}", pulling)
        if images:
            stack.allow(pulling, may(f"{ECR_PULL} ecr:DescribeImages", *self._repositories), ECR_LOGIN)
            stack.image_builder("ImageBuilder", self._names.image_build_function, builds)

    def _build_arguments(self, image: ImageConfig, target: str) -> dict[str, str]:
        """Return the base images that a stage of the Dockerfile uses, by build argument."""
        bases = {name: base.reference for name, base in base_images().items()} | (
            {"BASE": image.base} if image.base else {}
        )
        used = stage_inputs((image.folder / image.dockerfile).read_text(), target, given=bases).arguments
        return {name: value for name, value in bases.items() if name in used}

    def _refusal(self, image: ImageConfig, target: str) -> str:
        """Return the text with which the build of a stage fails, because a base image has no digest."""
        used = self._build_arguments(image, target)
        return " ".join(text for name, text in unpinned(base_images()).items() if name in used)

    def _attach(self, image: ImageConfig, app: App, construct: str, role: str) -> None:
        """Add SageMaker's image, its version and its configuration, of one app."""
        stack, name = self._stack, self._names.sagemaker_image(image, app).name
        given: dict[str, Any] = {"after": after_role("RolesImage"), "ImageName": name, "ImageRoleArn": role}
        stack.add(f"{construct}Image", "AWS::SageMaker::Image", ImageDisplayName=image.display_name, **given)
        uri = self._image_uri(image, TARGETS[app])
        removal = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Retain"}
        given = {"removal": removal, "after": f"{construct}Image", "BaseImage": uri, "ImageName": name}
        stack.add(f"{construct}Version", "AWS::SageMaker::ImageVersion", **given)
        index = {"PIP_INDEX_URL": self._research.package_index} if self._research.package_index else {}
        variables = [{"Key": key, "Value": value} for key, value in sorted({**self._variables, **index}.items())]
        container = {"ContainerEntrypoint": [_ENTRYPOINTS.get(app)], "ContainerEnvironmentVariables": variables}
        kernel = {
            "FileSystemConfig": {"DefaultGid": 0, "DefaultUid": 0, "MountPath": "/root"},
            "KernelSpecs": [{"DisplayName": image.display_name, "Name": "python3"}],
        }
        config: dict[str, Any] = (
            {f"{app}AppImageConfig": {"ContainerConfig": container}}
            if app in _ENTRYPOINTS
            else {"KernelGatewayImageConfig": kernel}
        )
        config_name = self._names.app_image_config(image, app).name
        stack.add(f"{construct}Config", "AWS::SageMaker::AppImageConfig", AppImageConfigName=config_name, **config)

    # The domain ------------------------------------------------------------------------------------------------------

    def add_domain(self) -> None:
        """Add the domain with its default settings, and the network access of its apps."""
        research, stack = self._research, self._stack
        efs = "Enabled" if research.home_efs else "Disabled"
        sizes = {"DefaultEbsVolumeSizeInGb": research.volume_gb, "MaximumEbsVolumeSizeInGb": research.maximum_volume_gb}
        common = {
            "SpaceStorageSettings": {"DefaultEbsStorageSettings": sizes},
            "JupyterLabAppSettings": self._app_settings("JupyterLab"),
        }
        classic = self._custom_images("KernelGateway")
        stack.add(
            "Domain",
            "AWS::SageMaker::Domain",
            after=f"{_GUARD}|{after_role('Roles(Researcher|SharedSpaces)')}",
            AppNetworkAccessType="VpcOnly" if research.network == "vpc-only" else "PublicInternetOnly",
            AuthMode=research.auth.upper(),
            DefaultSpaceSettings={
                "ExecutionRole": stack.att("RolesSharedSpaces"),
                "SecurityGroups": [stack.att("NetworkSharedSpaces", "GroupId")],
                **common,
            },
            DefaultUserSettings={
                "ExecutionRole": self._names.default_studio_role.arn,
                "AutoMountHomeEFS": efs,
                "CodeEditorAppSettings": self._app_settings("CodeEditor"),
                "DefaultLandingUri": "studio::",
                "StudioWebPortal": "ENABLED",
                "StudioWebPortalSettings": {
                    "HiddenAppTypes": list(research.hidden_apps),
                    "HiddenInstanceTypes": hidden_instance_types(research),
                    "HiddenMlTools": Free("menu entries without a permission", list),
                },
                "SecurityGroups": [stack.att("NetworkApps", "GroupId")],
                **({"KernelGatewayAppSettings": {"CustomImages": classic}} if classic else {}),
                **common,
            },
            DomainName=self._names.domain,
            # Without it, sessions of researchers without an own role could not be distinguished.
            DomainSettings={"ExecutionRoleIdentityConfig": "USER_PROFILE_NAME"},
            HomeEfsFileSystemCreation=efs,
            KmsKeyId=stack.ref("Key"),
            SubnetIds=self._subnets,
            VpcId=self._vpc,
        )
        stack.output(**{words(name.title()): value for name, value in self._variables.items()})
        stack.output(StudioUrl=stack.att("Domain", "Url"), DomainId=stack.att("Domain", "DomainId"))
        stack.output(EnvironmentParameter=stack.ref("Environment"))
        stack.output(KeptSpaces=stack.att("CleanUpEmpty", "KeptSpaces"))

    def _images_of(self, app: App) -> list[ImageConfig]:
        return [image for image in self._research.images if app in image.apps]

    def _custom_images(self, app: App) -> list[dict[str, str]]:
        return [
            {
                "AppImageConfigName": self._names.app_image_config(image, app).name,
                "ImageName": self._names.sagemaker_image(image, app).name,
                "ImageVersionNumber": self._stack.att(f"{_id('Image', image.name)}{app}Version", "Version"),
            }
            for image in self._images_of(app)
        ]

    def _app_settings(self, app: App) -> dict[str, Any]:
        minutes = self._research.idle_minutes
        idle = {"IdleTimeoutInMinutes": minutes, "MaxIdleTimeoutInMinutes": minutes, "MinIdleTimeoutInMinutes": 60}
        settings = {**idle, "LifecycleManagement": "ENABLED"}
        default = {"InstanceType": self._research.default_instance_type}
        for image in self._images_of(app)[:1]:
            construct = f"{_id('Image', image.name)}{app}"
            default |= {
                "SageMakerImageArn": self._stack.att(f"{construct}Image", "ImageArn"),
                "SageMakerImageVersionArn": self._stack.att(f"{construct}Version", "ImageVersionArn"),
            }
        return {
            "AppLifecycleManagement": {"IdleSettings": settings},
            "CustomImages": self._custom_images(app),
            "DefaultResourceSpec": default,
        }

    # Users -----------------------------------------------------------------------------------------------------------

    def add_users(self) -> None:
        """Add profiles and shared spaces and, with single sign-on, users and groups with their assignments."""
        research, center, ids = self._research, self._research.identity_center, {}
        for user in research.users:
            profile = _id("UsersProfile", user.profile)
            sign_on: dict[str, Any] = {}
            if center:
                created = _id("UsersCreate", user.profile)
                ids[user.name] = user.principal_id or self._stack.att(created, "UserId")
                if not user.principal_id:
                    self._stack.add(
                        created,
                        "AWS::IdentityStore::User",
                        removal=RETAINED,
                        after=_GUARD,
                        DisplayName=f"{user.given_name} {user.family_name}",
                        Emails=[{"Primary": True, "Type": "work", "Value": user.email}],
                        IdentityStoreId=center.identity_store_id,
                        Name={"FamilyName": user.family_name, "GivenName": user.given_name},
                        UserName=user.name,
                    )
                self._assign(_id("UsersAssign", user.profile), "USER", ids[user.name])
                sign_on = {"SingleSignOnUserIdentifier": "UserName", "SingleSignOnUserValue": user.name}
            settings: dict[str, Any] = {"ExecutionRole": self._names.studio_role(user).arn}
            if research.classic:
                settings["SecurityGroups"] = [self._stack.att(_id("NetworkProfile", user.profile), "GroupId")]
            self._stack.add(
                profile,
                "AWS::SageMaker::UserProfile",
                after=f"{_GUARD}|{after_role(_id('RolesUser', user.profile))}|{_id('UsersAssign', user.profile)}",
                DomainId=self._stack.att("Domain", "DomainId"),
                UserProfileName=user.profile,
                UserSettings=settings,
                **sign_on,
            )
        for index, group in enumerate(research.groups if center else ()):
            assert center
            construct = _id(f"UsersGroup{index}", group.name)
            group_id = group.principal_id or self._stack.att(f"{construct}Create", "GroupId")
            store: dict[str, Any] = {"IdentityStoreId": center.identity_store_id}
            if not group.principal_id:
                given: dict[str, Any] = {"removal": RETAINED, "after": _GUARD, "DisplayName": group.name, **store}
                self._stack.add(f"{construct}Create", "AWS::IdentityStore::Group", **given)
            for member in group.members:
                self._stack.add(
                    _id(f"{construct}Member", member),
                    "AWS::IdentityStore::GroupMembership",
                    after=_GUARD,
                    GroupId=group_id,
                    MemberId={"UserId": ids[member]},
                    **store,
                )
            self._assign(f"{construct}Assign", "GROUP", group_id)
        owners = {user.name: user.profile for user in research.users}
        for space in research.spaces:
            self._stack.add(
                _id("UsersSpace", space.name),
                "AWS::SageMaker::Space",
                removal=self._stack.stateful,
                after=f"{_GUARD}|{_id('UsersProfile', owners[space.owner])}",
                DomainId=self._stack.att("Domain", "DomainId"),
                OwnershipSettings={"OwnerUserProfileName": owners[space.owner]},
                SpaceName=space.name,
                SpaceSettings={
                    "AppType": "JupyterLab",
                    "SpaceStorageSettings": {"EbsStorageSettings": {"EbsVolumeSizeInGb": space.volume_gb}},
                },
            )

    def _assign(self, construct: str, kind: str, principal: str) -> None:
        application = self._stack.att("Domain", "SingleSignOnApplicationArn")
        given: dict[str, Any] = {"ApplicationArn": application, "PrincipalType": kind, "PrincipalId": principal}
        self._stack.add(construct, "AWS::SSO::ApplicationAssignment", after=_GUARD, **given)

    # Researchers and jobs --------------------------------------------------------------------------------------------

    def add_researchers(self) -> None:
        """Add the roles of researchers, each with its own prefix, and the role of shared spaces."""
        studio = [self._stack.ref("RolesStudioPolicy")]
        self._stack.add("RolesStudioPolicy", "AWS::IAM::ManagedPolicy")
        roles = {
            "RolesResearcher": (self._names.default_studio_role.name, ()),
            "RolesSharedSpaces": (None, ()),
            **{
                _id("RolesUser", user.profile): (self._names.studio_role(user).name, (f"{USERS}{user.profile}/",))
                for user in self._research.users
            },
        }
        for construct, (name, prefixes) in roles.items():
            may_do = (*self._read_and_write(SHARED, *prefixes), *self._use_studio(), *self._start_jobs())
            options: dict[str, Any] = {"name": name, "actions": NAMED_SESSION, "managed": studio}
            self._stack.service_role(construct, "sagemaker", *may_do, **options)
        # Researchers without a user profile in the deployment file are distinguished by the source identity.
        private, named = f"{USERS}${{aws:SourceIdentity}}/*", {"aws:SourceIdentity": ANY_VALUE}
        self._stack.allow(
            self._names.default_studio_role.arn,
            may("s3:ListBucket", self._bucket, when={**named, "s3:prefix": (Like(private),)}),
            may(_READ_AND_WRITE, f"{self._bucket}/{private}", when=named),
        )

    def add_processing_role(self) -> None:
        """Add the role of jobs."""
        may_do = (*self._read_and_write(SHARED), *self._run_jobs(), *self._read_scripts())
        name = self._names.processing_role.name
        self._stack.service_role("RolesProcessing", "sagemaker", *may_do, name=name, actions=NAMED_SESSION)

    def _read_and_write(self, *prefixes: str) -> Iterator[Permission]:
        """Yield access to these prefixes of the data bucket, and read access to the readable buckets."""
        s3_prefix = {"s3:prefix": tuple(Like(f"{prefix}*") for prefix in prefixes)}
        yield may("s3:ListBucket", self._bucket, when=s3_prefix)
        yield may(_READ_AND_WRITE, *(f"{self._bucket}/{prefix}*" for prefix in prefixes))
        yield may("s3:GetBucketLocation", self._bucket)
        yield may("kms:Decrypt kms:GenerateDataKey", self._key, when=via_s3(self._region))
        if self._readable:
            yield may(S3_READ_BUCKET, *self._readable)

    def _use_studio(self) -> Iterator[Permission]:
        """Yield the permissions in Studio: the own sign-on, own private and shared spaces, and the instance types."""
        profile = self._in_sagemaker("user-profile/${sagemaker:DomainId}/${sagemaker:UserProfileName}")
        spaces, apps = (self._in_sagemaker(f"{kind}/${{sagemaker:DomainId}}/*") for kind in ("space", "app"))
        own = {"sagemaker:OwnerUserProfileArn": (Like(profile),)}
        sizes = {"sagemaker:InstanceTypes": (*self._research.instance_types, "system")}
        yield may("sagemaker:CreatePresignedDomainUrl", profile)
        lists = "ListApps ListDomains ListSpaces ListUserProfiles ListImages ListImageVersions"
        describes = "DescribeApp DescribeDomain DescribeSpace DescribeUserProfile"
        images = "DescribeImage DescribeImageVersion DescribeAppImageConfig"
        yield may(_actions(f"{lists} {describes} {images}"), "*")
        shared = {"sagemaker:SpaceSharingType": ("Private", "Shared")}
        yield may(_actions("CreateSpace UpdateSpace DeleteSpace"), spaces, when={**own, **shared})
        for space in (
            {**own, "sagemaker:SpaceSharingType": ("Private",)},
            {"sagemaker:SpaceSharingType": ("Shared",)},
        ):
            yield may("sagemaker:CreateApp", apps, when=space, if_present=sizes)
            yield may("sagemaker:DeleteApp", apps, when=space)
        # Tags are added during the creation of a resource only.
        tagged = (self._in_sagemaker("app/*"), self._in_sagemaker("space/*"), self._own_jobs)
        yield may("sagemaker:AddTags", *tagged, when={"sagemaker:TaggingAction": ANY_VALUE})
        yield may(f"{LOG} logs:CreateLogGroup", f"{self._log_group('/aws/sagemaker/studio')}:*")
        parameter = self._stack.arn("ssm", f"parameter{processing_job.parameter_name(self._deployment.name)}")
        yield may("ssm:GetParameter", parameter)
        yield from self._encrypt_volumes()
        if self._pipelines:
            control = "StartPipelineExecution StopPipelineExecution DescribePipeline DescribePipelineExecution"
            look = "ListPipelineExecutions ListPipelineExecutionSteps ListPipelineParametersForExecution"
            executions = (f"{arn}/execution/*" for arn in self._pipelines)
            yield may(_actions(f"{control} {look}"), *self._pipelines, *executions)
            yield may("sagemaker:ListPipelines", "*")

    def _encrypt_volumes(self) -> Iterator[Permission]:
        """Yield the permissions with which SageMaker creates a grant, as the caller that starts an app or a job."""
        yield may("kms:DescribeKey", self._key)
        yield may("kms:CreateGrant", self._key, when={"kms:GrantIsForAWSResource": ("true",)})

    def _start_jobs(self) -> Iterator[Permission]:
        """Yield the permissions for jobs with the deployment's name, the processing role, and the network."""
        sizes, groups = self._research.job_instance_types, (self._jobs_group,)
        yield may(
            "sagemaker:CreateProcessingJob",
            self._own_jobs,
            when={"sagemaker:VpcSubnets": tuple(self._subnets)} if self._research.network == "vpc-only" else {},
            if_present={"sagemaker:InstanceTypes": sizes, "sagemaker:VpcSecurityGroupIds": groups},
        )
        yield may(_actions("DescribeProcessingJob StopProcessingJob"), self._own_jobs)
        yield may("sagemaker:ListProcessingJobs", "*")
        yield _pass_to_sagemaker(self._processing)
        yield may("logs:GetLogEvents", f"{self._job_logs}:log-stream:{self._names.job_prefix}*")
        yield may("logs:DescribeLogStreams", f"{self._job_logs}:*")

    def _run_jobs(self) -> Iterator[Permission]:
        """Yield the permissions with which SageMaker runs a job as the processing role."""
        yield may(f"{LOG} logs:CreateLogGroup logs:DescribeLogStreams", f"{self._job_logs}*")
        namespace = {"cloudwatch:namespace": ("/aws/sagemaker/ProcessingJobs",)}
        yield may("cloudwatch:PutMetricData", "*", when=namespace)
        interfaces, group = self._in_ec2("network-interface/*"), self._in_ec2(f"security-group/{self._jobs_group}")
        subnets = tuple(self._in_ec2(f"subnet/{subnet}") for subnet in self._subnets)
        permission = "ec2:CreateNetworkInterfacePermission ec2:DeleteNetworkInterfacePermission"
        yield may("ec2:CreateNetworkInterface", interfaces, group, *subnets)
        yield may(f"ec2:DeleteNetworkInterface {permission}", interfaces, when={"ec2:Subnet": subnets})
        described = ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")
        yield may(" ".join(f"ec2:Describe{resource}" for resource in described), "*")
        if self._research.images:
            yield may(ECR_PULL, *self._repositories)
        if self._research.job_image:
            registry, _, image = self._research.job_image.partition("/")
            place = Place(registry[:12], self._region)
            yield may(ECR_PULL, place.named("ecr", re.split("[:@]", image)[0], "repository/").arn)
        if self._research.has_job_image or self._research.images:
            yield ECR_LOGIN

    # Pipelines -------------------------------------------------------------------------------------------------------

    def add_pipelines(self) -> None:
        """Add the pipelines, with their roles and schedules."""
        for pipeline, pipeline_arn in zip(self._research.pipelines, self._pipelines, strict=True):
            construct = _id("Pipeline", pipeline.name)
            jobs = self._in_sagemaker(f"processing-job/{self._names.pipeline_job(pipeline.name)}-*")
            sizes = {"sagemaker:InstanceTypes": self._research.pipeline_instance_types}
            may_do = (
                may("sagemaker:CreateProcessingJob", jobs, when=sizes),
                may(_actions("AddTags DescribeProcessingJob StopProcessingJob"), jobs),
                _pass_to_sagemaker(self._processing),
                *self._encrypt_volumes(),
            )
            role = self._stack.service_role(f"{construct}Role", "sagemaker", *may_do, actions=NAMED_SESSION)
            self._stack.add(
                f"{construct}Pipeline",
                "AWS::SageMaker::Pipeline",
                after=after_role(f"({construct}Role|RolesProcessing)"),
                PipelineDefinition={"PipelineDefinitionBody": Json(self._definition(pipeline))},
                PipelineName=self._names.pipeline(pipeline.name).name,
                RoleArn=role,
            )
            if pipeline.schedule:
                target = {"Arn": pipeline_arn}
                start = may("sagemaker:StartPipelineExecution", pipeline_arn)
                self._add_schedule(
                    f"{construct}Schedule", pipeline.schedule, target, start, after=f"{construct}Pipeline"
                )

    def _definition(self, pipeline: PipelineConfig) -> dict[str, Any]:
        """Return the pipeline's definition: one step, the processing job of the launcher."""
        name, script = self._names.pipeline_job(pipeline.name), self._script(pipeline)
        folder = f"s3://{self._names.data_bucket.name}/{SHARED}{pipeline.name}"
        values = {
            "input": f"{folder}/input/",
            "output": f"{folder}/output",
            "instance_type": pipeline.instance_type,
            **pipeline.parameters,
        }
        parameters = {key: "".join(word.capitalize() for word in key.split("_")) for key in values}
        get = {key: {"Get": f"Parameters.{parameter}"} for key, parameter in parameters.items()}
        arguments: list[Any] = []
        for key, value in pipeline.parameters.items():
            text = get[key] if isinstance(value, str) else {"Std:Join": {"On": "", "Values": [get[key]]}}
            arguments += [f"--{key.replace('_', '-')}", text]
        job = processing_job.request(
            self._job_environment,
            name=name,
            script=script,
            code=f"s3://{self._stack.assets}/{script}",
            data=get["input"],
            output={"Std:Join": {"On": "/", "Values": [get["output"], {"Get": "Execution.PipelineExecutionId"}]}},
            arguments=arguments,
            instance_type=get["instance_type"],
            volume_gb=pipeline.volume_gb,
            maximum_minutes=pipeline.maximum_minutes,
            image=self._job_environment.other_images.get((pipeline.image or "").replace("-", "_")),
        )
        types = {int: "Integer", float: "Float", str: "String"}
        return {
            "Version": Free("the version of the schema"),
            "Metadata": {},
            "Parameters": [
                {"Name": parameters[key], "Type": types[type(value)], "DefaultValue": value}
                for key, value in values.items()
            ],
            "Steps": [{"Name": "Run", "Type": "Processing", "Arguments": job}],
        }

    def _script(self, pipeline: PipelineConfig) -> str:
        """Return the key of the pipeline's script in CDK's bucket."""
        files = {"": hashlib.sha256(content(pipeline.file)).hexdigest()}
        return self._stack.asset(r"Pipeline\w+Script", lambda asset: asset.files == files)

    def _add_schedule(
        self, construct: str, expression: str, target: dict[str, Any], permission: Permission, after: str = ""
    ) -> None:
        """Add a schedule, which is encrypted with the environment's key, and its role."""
        role = self._stack.service_role(f"{construct}Role", "scheduler", permission, may("kms:Decrypt", self._key))
        self._stack.add(
            construct,
            "AWS::Scheduler::Schedule",
            after=f"{after}|{after_role(f'{construct}Role')}",
            KmsKeyArn=self._key,
            ScheduleExpression=expression,
            Target={**target, "RetryPolicy": {"MaximumRetryAttempts": 3}, "RoleArn": role},
        )

    def _read_scripts(self) -> Iterator[Permission]:
        """Yield access to the pipelines' scripts. Each is one asset."""
        assets = f"arn:{self._stack.partition}:s3:::{self._stack.assets}"
        for script in map(self._script, self._research.pipelines):
            yield may("s3:GetObject", f"{assets}/{script}")
            yield may("s3:ListBucket", assets, when={"s3:prefix": (script,)})

    # Clean-up --------------------------------------------------------------------------------------------------------

    def add_clean_up(self) -> None:
        """Add the function that empties the domain before CloudFormation deletes it, and its custom resources."""
        stack, names, research = self._stack, self._names, self._research
        domain = stack.att("Domain", "DomainId")
        role = stack.function("CleanUpFunction", names.clean_up_function, "domain_clean_up", seconds=300)
        stack.add("CleanUpPermissions", "AWS::IAM::Policy")
        groups = (f"{group}{end}" for group in map(self._log_group, LOG_GROUPS) for end in ("", ":*"))
        stack.allow(
            role,
            may(_actions("ListApps ListSpaces ListUserProfiles ListProcessingJobs"), "*"),
            may("sagemaker:DeleteApp", self._in_sagemaker(f"app/{domain}/*")),
            may("sagemaker:DeleteSpace", self._in_sagemaker(f"space/{domain}/*")),
            may("sagemaker:DeleteUserProfile", self._in_sagemaker(f"user-profile/{domain}/*")),
            may("sagemaker:StopProcessingJob", self._own_jobs),
            may("logs:CreateLogGroup logs:PutRetentionPolicy", *groups),
            may("logs:DescribeLogGroups", "*"),
            may("sagemaker:ListPipelineExecutions", *self._pipelines),
            may("sagemaker:StopPipelineExecution", *(f"{pipeline}/execution/*" for pipeline in self._pipelines)),
        )
        stack.async_provider("CleanUpProvider", "CleanUpFunction")
        token = stack.att("CleanUpProviderframeworkonEvent")
        fixed = Json(fixed_values(research, domain=names.domain, key_id=stack.ref("Key")))
        given: dict[str, Any] = {"removal": DELETED, "ServiceToken": token, "Fixed": fixed}
        stack.add(_GUARD, "Custom::DomainGuard", after=after_provider("CleanUp"), **given)
        repositories = [stack.image_uri(f"{_id('Image', image.name)}Repository") for image in research.images]
        retained = [] if self._deployment.ephemeral else [f"s3://{names.data_bucket.name}", self._key, *repositories]
        stack.output(RetainedResources=" ".join(retained) or "nothing: ephemeral = true")
        stack.add(
            "CleanUpEmpty",
            "Custom::DomainCleanUp",
            removal=DELETED,
            # Apps and jobs need all of these until they have ended.
            after=rf"CleanUpPermissions|{after_provider('CleanUp')}|(Domain|Key|Network|Pipeline|Roles|Users)\w*",
            ServiceToken=token,
            DomainId=domain,
            Ephemeral=str(self._deployment.ephemeral).lower(),
            JobPrefix=names.job_prefix,
            LogGroups=list(LOG_GROUPS),
            LogRetentionDays=str(self._deployment.operations.log_retention_days),
            Pipelines=[names.pipeline(pipeline.name).name for pipeline in research.pipelines],
            Profiles=sorted(user.profile for user in research.users),
            Retained=retained,
            Spaces=sorted(space.name for space in research.spaces),
        )

    def add_budget(self, budget: BudgetConfig) -> None:
        """Add the monthly budget."""
        stack = self._stack
        if not has_resource_type(self._region, "AWS::Budgets::Budget"):
            place = Place(self._home, "us-east-1")
            stack = StackIntent(self._intent, self._inventory, self._deployment, self._names.budget_stack, place)
        subscribers = [{"Address": email, "SubscriptionType": "EMAIL"} for email in budget.emails]
        stack.add(
            "Budget",
            "AWS::Budgets::Budget",
            ResourceTags=stack.tags,
            Budget={
                "BudgetLimit": {"Amount": budget.monthly_usd, "Unit": "USD"},
                "BudgetType": "COST",
                **({} if budget.whole_account else {"CostFilters": {"Service": ["Amazon SageMaker"]}}),
                "TimeUnit": "MONTHLY",
            },
            NotificationsWithSubscribers=[
                {
                    "Notification": {
                        "ComparisonOperator": "GREATER_THAN",
                        "NotificationType": kind,
                        "Threshold": percentage,
                        "ThresholdType": "PERCENTAGE",
                    },
                    "Subscribers": subscribers,
                }
                for kind, percentage in (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
            ],
        )

    # The administrator's workstation ---------------------------------------------------------------------------------

    def add_workstation(self, workstation: WorkstationConfig) -> None:
        """Add the workstation, its role, and the schedule that stops it."""
        stack, names = self._stack, self._names
        passed = (stack.att("RolesImage"), names.default_studio_role.arn, stack.att("RolesSharedSpaces"))
        domain = may(_actions("UpdateDomain DescribeDomain"), stack.att("Domain", "DomainArn"))
        may_do = (domain, _pass_to_sagemaker(*passed))
        role = stack.service_role("WorkstationRole", "sagemaker", *may_do, actions=NAMED_SESSION)
        stack.add(
            "WorkstationInstance",
            "AWS::SageMaker::NotebookInstance",
            after=after_role("WorkstationRole"),
            InstanceType=workstation.instance_type,
            KmsKeyId=stack.ref("Key"),
            NotebookInstanceName=names.workstation,
            RoleArn=role,
            SecurityGroupIds=[stack.att("NetworkWorkstation", "GroupId")],
            SubnetId=self._subnets[0],
            VolumeSizeInGB=workstation.volume_gb,
        )
        apps = [(image, app) for image in self._research.images for app in image.apps]
        if apps:
            images = [names.sagemaker_image(image, app).name for image, app in apps]
            resources = (name for image in images for name in (f"image/{image}", f"image-version/{image}/*"))
            configs = (names.app_image_config(image, app).arn for image, app in apps)
            version = "CreateImage CreateImageVersion DescribeImage DescribeImageVersion"
            stack.allow(
                role,
                may(f"{ECR_PULL} {ECR_PUSH}", *self._repositories),
                ECR_LOGIN,
                may(_actions(version), *map(self._in_sagemaker, resources)),
                may(_actions("CreateAppImageConfig UpdateAppImageConfig DescribeAppImageConfig"), *configs),
            )
        stop = may("sagemaker:StopNotebookInstance", self._in_sagemaker(f"notebook-instance/{names.workstation}"))
        target = {
            "Arn": f"arn:{stack.partition}:scheduler:::aws-sdk:sagemaker:stopNotebookInstance",
            "Input": Json({"NotebookInstanceName": names.workstation}),
        }
        self._add_schedule("WorkstationStop", f"cron(0 {workstation.stop_hour_utc} * * ? *)", target, stop)

    # Names -----------------------------------------------------------------------------------------------------------

    def _in_sagemaker(self, resource: str) -> str:
        return self._stack.arn("sagemaker", resource)

    def _in_ec2(self, resource: str) -> str:
        return self._stack.arn("ec2", resource)

    def _log_group(self, name: str) -> str:
        return self._stack.arn("logs", f"log-group:{name}")


def _actions(names: str) -> str:
    return " ".join(f"sagemaker:{name}" for name in names.split())


def _id(prefix: str, name: str) -> str:
    """Return the construct path of a construct that is named after something in the deployment file."""
    return prefix + words(name)
