"""A research environment's part of the access matrix: researchers, jobs and other callers, at all resources.

Researchers call as themselves, in a session that names them, as a user without a profile in the deployment file, and
with policies that allow everything, which shows the limits of the permissions boundary. Another account calls too, also
from inside the network.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from access.inventory import Inventory, Policy
from stacks.deployment import Deployment, ResearchDeployment
from stacks.deployment.names import SHARED, USERS
from stacks.deployment.regions import partition
from stacks.deployment.research import ResearchConfig
from tests.policies.rows import (
    ALLOW_ALL,
    NEIGHBOUR,
    OTHER_ACCOUNT,
    Caller,
    Context,
    Scene,
    Target,
    default_key_policy,
    signed,
    user,
)
from tests.policies.terms import AnyPrincipal, Grant, Intent, ResourceIntent, arn, key, research_names, via_s3

GUEST = "guest"
"""A researcher without a profile in the deployment file."""
_SERVICES = ("sagemaker", "lambda", "codebuild", "states", "scheduler", "vpc-flow-logs", "ec2", "ecs-tasks")
_PUBLIC: Policy = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}],
}


def research_scene(
    deployment: Deployment | ResearchDeployment, research: ResearchConfig, inventory: Inventory, intent: Intent
) -> Scene:
    environment = _Environment(deployment, research, inventory, intent)
    return Scene(tuple(environment.callers()), tuple(environment.targets()), environment.variants, environment.includes)


class _Environment:
    def __init__(
        self,
        deployment: Deployment | ResearchDeployment,
        research: ResearchConfig,
        inventory: Inventory,
        intent: Intent,
    ) -> None:
        self._deployment, self._research, self._inventory, self._intent = deployment, research, inventory, intent
        self._names = research_names(deployment)
        self._home, self._region = research.account, research.region
        self._stack = self._names.stack
        self._partition = partition(research.region)
        self._bucket = self._names.data_bucket.arn
        self._profiles = {self._names.studio_role(user).arn: user.profile for user in research.users}
        self._subnets = next(
            permission.conditions.get("sagemaker:VpcSubnets", ())
            for permission in intent.role_permissions[self._names.default_studio_role.arn]
            if "sagemaker:CreateProcessingJob" in permission.actions
        )
        self._domain = inventory.arn_of(self._stack, "Domain", hashed=False).rpartition("/")[2]

    # Callers ---------------------------------------------------------------------------------------------------------

    def callers(self) -> Iterator[Caller]:
        organization, default_role = self._deployment.organization, self._names.default_studio_role.name
        for role in self._inventory.roles.values():
            if role.where.startswith(f"{self._stack}/"):
                context = (
                    *signed(role.arn, role.account, organization),
                    ("aws:SourceIdentity", self._profiles.get(role.arn, GUEST)),
                )
                caller = Caller(
                    f"role {role.name}",
                    role.arn,
                    role.account,
                    role.policies,
                    self._intent.role_permissions[role.arn],
                    context,
                    role.bounds,
                    self._intent.boundaries.get(role.boundary, ()) if role.boundary else None,
                )
                yield caller
                if role.name.startswith(default_role):
                    name = f"{caller.name} with all permissions"
                    yield replace(caller, name=name, policies=(ALLOW_ALL,), permissions=None)
        for account, description in (
            (self._home, "the account"),
            (OTHER_ACCOUNT, "another account"),
            (NEIGHBOUR, "another account of the organisation"),
        ):
            yield user(organization, account, f"{self._iam(account)}:role/Admin", f"administrator of {description}")
        yield user(organization, self._home, f"{self._iam(self._home)}:root", "root user of the account")
        for profile in (f"{default_role}-{name}" for name in ("ada", GUEST)):
            namesake = f"{self._iam(OTHER_ACCOUNT)}:role/{profile}"
            yield user(organization, OTHER_ACCOUNT, namesake, f"namesake of {profile} in another account")
        yield Caller("anonymous caller", None, None, (), ())
        for service in _SERVICES:
            principal = f"{service}.amazonaws.com"
            for account in (self._home, OTHER_ACCOUNT):
                yield Caller(f"{service} for {account}", principal, None, (), (), (("aws:SourceAccount", account),))
            yield Caller(f"{service} without a source", principal, None, (), ())

    def includes(self, caller: Caller, target: Target) -> bool:
        """Return whether the matrix has rows of a caller and a target.

        Services are tried at roles, buckets and keys. The roles of CDK's provider are tried at its own resources. The
        prover shows that they have no other permissions.
        """
        if caller.is_service:
            return target.kind in ("role", "bucket", "key")
        if "framework" in caller.name or "waiter" in caller.name:
            return target.kind in ("function", "state machine", "key", "role settings")
        return True

    def _session(self, caller: Caller) -> Context:
        """Return the context that SageMaker adds to the session of an app."""
        if caller.principal is None or caller.is_service:
            return {}
        profile = self._profiles.get(caller.principal, GUEST)
        return {"sagemaker:DomainId": self._domain, "sagemaker:UserProfileName": profile}

    # Variants of requests --------------------------------------------------------------------------------------------

    def variants(self, caller: Caller, action: str, target: Target) -> Iterator[tuple[str, Context]]:
        """Yield the variants of a request for an action."""
        session = self._session(caller)
        profile = str(session.get("sagemaker:UserProfileName", GUEST))
        match action:
            case "s3:ListBucket":
                own = f"{USERS}{profile}/"
                for prefix in (SHARED, own, f"{own}deep/", f"{USERS}ada/", USERS, "shared", ""):
                    yield f"below {prefix!r}", self._at_endpoint(target, {"s3:prefix": prefix})
                yield "everything", self._at_endpoint(target, {})
            case "kms:Decrypt" | "kms:Encrypt" | "kms:GenerateDataKey":
                yield "via S3", {name: value for name, (value,) in via_s3(self._region).items()}
                yield "via S3 of another Region", {"kms:ViaService": "s3.ap-south-1.amazonaws.com"}
                yield "via another service", {"kms:ViaService": f"sqs.{self._region}.amazonaws.com"}
                yield "directly", {}
            case "kms:CreateGrant":
                yield "for a service", {"kms:GrantIsForAWSResource": "true"}
                yield "for the caller", {"kms:GrantIsForAWSResource": "false"}
                yield "plainly", {}
            case "iam:PassRole":
                for service in ("sagemaker", "lambda", "ec2", "codebuild", "ecs-tasks"):
                    yield f"to {service}", {"iam:PassedToService": f"{service}.amazonaws.com"}
            case "sagemaker:CreateSpace" | "sagemaker:DeleteSpace" | "sagemaker:CreateApp" | "sagemaker:DeleteApp":
                yield from self._space_variants(action, session, profile)
            case "sagemaker:CreateProcessingJob":
                yield from self._job_variants(session)
            case "sagemaker:AddTags":
                yield "during creation", {**session, "sagemaker:TaggingAction": "CreateApp"}
                yield "later", session
            case "ec2:DeleteNetworkInterface":
                for description, subnet in (
                    ("of the network", self._subnet(0)),
                    ("of another network", self._ec2("subnet/subnet-0")),
                ):
                    yield description, {"ec2:Subnet": subnet}
            case "cloudwatch:PutMetricData":
                yield "of jobs", {"cloudwatch:namespace": "/aws/sagemaker/ProcessingJobs"}
                yield "of others", {"cloudwatch:namespace": "AWS/Billing"}
            case _:
                yield "plainly", self._at_endpoint(target, session if action.startswith("sagemaker:") else {})

    def _at_endpoint(self, target: Target, context: Context) -> Context:
        return {**context, "aws:ResourceAccount": target.account} if target.endpoint else context

    def _space_variants(self, action: str, session: Context, profile: str) -> Iterator[tuple[str, Context]]:
        sized = {"sagemaker:InstanceTypes": [self._research.default_instance_type]} if "CreateApp" in action else {}
        for description, owner in (("own space", profile), ("another's space", "another-user")):
            space = {**session, **sized, "sagemaker:OwnerUserProfileArn": self._profile(owner)}
            for kind in ("Private", "Shared"):
                yield f"{description}, {kind.lower()}", {**space, "sagemaker:SpaceSharingType": kind}
            yield f"{description}, without a sharing type", space
        if action == "sagemaker:CreateApp":
            own = {
                **session,
                "sagemaker:OwnerUserProfileArn": self._profile(profile),
                "sagemaker:SpaceSharingType": "Private",
            }
            yield "on a large instance", {**own, "sagemaker:InstanceTypes": ["ml.p4d.24xlarge"]}
            mixed = [self._research.default_instance_type, "ml.p4d.24xlarge"]
            yield "also on a large instance", {**own, "sagemaker:InstanceTypes": mixed}
            yield "without an instance type", own

    def _job_variants(self, session: Context) -> Iterator[tuple[str, Context]]:
        inside: Context = {**session, "sagemaker:InstanceTypes": [self._research.job_instance_types[0]]}
        subnets = list(self._subnets) or ["subnet-1"]
        group = self._inventory.arn_of(self._stack, "NetworkJobs").rpartition("/")[2]
        network: Context = {**inside, "sagemaker:VpcSubnets": subnets, "sagemaker:VpcSecurityGroupIds": [group]}
        yield "in the network", network
        yield "in another group", {**network, "sagemaker:VpcSecurityGroupIds": ["sg-of-a-researcher"]}
        yield "also in another group", {**network, "sagemaker:VpcSecurityGroupIds": [group, "sg-of-a-researcher"]}
        yield "without a network", inside
        yield "in another network", {**inside, "sagemaker:VpcSubnets": ["subnet-of-others"]}
        yield "also in another network", {**inside, "sagemaker:VpcSubnets": [subnets[0], "subnet-of-others"]}
        yield "on a large instance", {**network, "sagemaker:InstanceTypes": ["ml.p4d.24xlarge"]}

    # Targets ---------------------------------------------------------------------------------------------------------

    def targets(self) -> Iterator[Target]:
        for resource in self._inventory.resource_policies.values():
            if not resource.where.startswith(f"{self._stack}/") or resource.kind == "endpoint":
                continue
            blocked = set(resource.properties.get("PublicAccessBlockConfiguration", {}).values()) == {True}
            intent = self._intent.resource_policies[resource.arn]
            target = Target(
                resource.kind, resource.arn, resource.account, intent, resource.policy, block_public=blocked
            )
            yield replace(target, actions=_ACTIONS[resource.kind])
            if resource.kind == "bucket":
                yield from (replace(target, arn=f"{resource.arn}/{name}", actions=_OBJECT) for name in _OBJECT_KEYS)
            if resource.kind == "role" and not re.search("framework|waiter|Build", resource.arn):
                yield self._target("role settings", resource.arn, *_ACTIONS["role settings"])
        for other in self._inventory.other_resources.values():
            if other.where.startswith(f"{self._stack}/") and other.kind in _ACTIONS:
                yield Target(other.kind, other.arn, other.account, None, None, actions=_ACTIONS[other.kind])
        yield from self._in_studio()
        yield from self._outside_resources()
        yield from self._behind_endpoints()

    def _target(self, kind: str, arn: str, *actions: str) -> Target:
        """Return a target of the account without a policy."""
        return Target(kind, arn, self._home, None, None, actions=actions)

    def _in_studio(self) -> Iterator[Target]:
        """Yield the resources in the domain, its jobs, and similar resources outside it."""
        for kind, resource, *verbs in (
            ("app", f"app/{self._domain}/space/JupyterLab/default", "CreateApp", "DeleteApp", "AddTags"),
            ("app", "app/d-other/space/JupyterLab/default", "CreateApp", "DeleteApp"),
            ("space", f"space/{self._domain}/mine", "CreateSpace", "DeleteSpace"),
            ("space", "space/d-other/mine", "CreateSpace", "DeleteSpace"),
            ("profile", f"user-profile/{self._domain}/ada", "CreatePresignedDomainUrl", "DeleteUserProfile"),
            ("profile", f"user-profile/{self._domain}/{GUEST}", "CreatePresignedDomainUrl", "UpdateUserProfile"),
            ("job", f"processing-job/{self._names.job_prefix}one", *_JOB, "AddTags"),
            ("job", "processing-job/others", *_JOB, "AddTags"),
            ("job", f"processing-job/{self._deployment.name}-two--one", *_JOB),
            ("image", f"image/{self._deployment.name}-pegasus", "CreateImage", "DeleteImage"),
            ("config", f"app-image-config/{self._deployment.name}-pegasus-config", "UpdateAppImageConfig"),
            ("notebook instance", f"notebook-instance/{self._names.workstation}", *_NOTEBOOK),
            ("notebook instance", "notebook-instance/others", *_NOTEBOOK),
            ("model", "model/any", "CreateModel"),
        ):
            resource_arn = arn("sagemaker", self._region, self._home, resource)
            yield self._target(kind, resource_arn, *(f"sagemaker:{verb}" for verb in verbs))
        logs = arn("logs", self._region, self._home, "log-group:/aws/sagemaker/ProcessingJobs")
        for stream in (f"{self._names.job_prefix}one", f"{self._deployment.name}-two--one", "others"):
            yield self._target("job's log", f"{logs}:log-stream:{stream}", "logs:GetLogEvents", "logs:PutLogEvents")
        studio = arn("logs", self._region, self._home, "log-group:/aws/sagemaker/studio")
        app_log = ("logs:CreateLogStream", "logs:PutLogEvents", "logs:GetLogEvents")
        yield self._target("app's log", f"{studio}:log-stream:app", *app_log)
        yield self._target("app's log", studio, "logs:PutRetentionPolicy", "logs:DeleteLogGroup")
        yield self._target("interface", self._ec2("network-interface/eni-1"), "ec2:DeleteNetworkInterface")
        for subnet in (self._subnet(0), self._ec2("subnet/subnet-0")):
            yield self._target("subnet", subnet, "ec2:CreateNetworkInterface")

    def _outside_resources(self) -> Iterator[Target]:
        """Yield resources that are not in the deployment, in the account and in another."""
        for account in (self._home, OTHER_ACCOUNT):
            key_arn = arn("kms", self._region, account, "key/of-others")
            default = default_key_policy(f"{self._iam(account)}:root")
            yield Target("key", key_arn, account, key(key_arn, account), default, actions=_ACTIONS["key"])
            role = f"{self._iam(account)}:role/Admin"
            yield Target("role settings", role, account, None, None, actions=_ACTIONS["role settings"])
            image = ResourceIntent("repository", arn("ecr", self._region, account, "repository/of-others"), account)
            yield Target("repository", image.arn, account, image, None, actions=("ecr:PutImage",))
        readable = [(bucket, OTHER_ACCOUNT) for bucket in self._research.readable_buckets]
        for bucket, account in (("of-others", self._home), ("of-another-account", OTHER_ACCOUNT), *readable):
            # The other account's bucket is public, so that the caller's own policies decide.
            public = account == OTHER_ACCOUNT
            intent = ResourceIntent("object", f"arn:{self._partition}:s3:::{bucket}/shared/one", account)
            if public:
                intent = replace(intent, grants=_PUBLIC_GRANTS)
            policy = _PUBLIC if public else None
            yield Target("object", intent.arn, account, intent, policy, block_public=False, actions=_GET_PUT)

    def _behind_endpoints(self) -> Iterator[Target]:
        """Yield targets of requests from inside the network, which pass a VPC endpoint."""
        endpoints = {
            endpoint.where.removeprefix(f"{self._stack}/Network")[:-8]: endpoint
            for endpoint in self._inventory.of_kind("endpoint")
            if endpoint.where.startswith(f"{self._stack}/")
        }
        own = self._inventory.resource_policies[self._bucket]
        public = ResourceIntent(
            "object", f"arn:{self._partition}:s3:::of-another-account/one", OTHER_ACCOUNT, _PUBLIC_GRANTS
        )
        own_intent = self._intent.resource_policies[own.arn]
        targets = [
            ("VpcS3", Target("object", f"{own.arn}/shared/one", self._home, own_intent, own.policy, actions=_GET_PUT)),
            ("VpcS3", Target("object", public.arn, OTHER_ACCOUNT, public, _PUBLIC, False, _GET_PUT)),
        ]
        for account in (self._home, OTHER_ACCOUNT):
            for endpoint, service, resource, action in (
                ("SageMakerApi", "sagemaker", "model/any", "sagemaker:CreateModel"),
                ("Logs", "logs", "log-group:any:log-stream:any", "logs:PutLogEvents"),
            ):
                resource_arn = arn(service, self._region, account, resource)
                targets.append((endpoint, Target("other", resource_arn, account, None, None, actions=(action,))))
        for name, target in targets:
            if passed := endpoints.get(name):
                intent = self._intent.resource_policies[passed.arn]
                yield replace(target, endpoint=intent, endpoint_policy=passed.policy)

    # Names -----------------------------------------------------------------------------------------------------------

    def _iam(self, account: str) -> str:
        return f"arn:{self._partition}:iam::{account}"

    def _ec2(self, resource: str) -> str:
        return arn("ec2", self._region, self._home, resource)

    def _subnet(self, number: int) -> str:
        return self._ec2(f"subnet/{self._subnets[number] if self._subnets else 'subnet-1'}")

    def _profile(self, name: str) -> str:
        return arn("sagemaker", self._region, self._home, f"user-profile/{self._domain}/{name}")


_PUBLIC_GRANTS = (Grant(AnyPrincipal(), ("s3:*",), ("*",)),)
_OBJECT_KEYS = (
    "shared/one",
    *(f"users/{profile}/one" for profile in ("ada", GUEST, "another-user")),
    "users/ada-2/one",
    "sharedly/one",
    "one",
)
_GET_PUT = ("s3:GetObject", "s3:PutObject")
_JOB = ("CreateProcessingJob", "DescribeProcessingJob", "StopProcessingJob")
_NOTEBOOK = ("StopNotebookInstance", "CreatePresignedNotebookInstanceUrl")
_OBJECT = ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject")
_ACTIONS: dict[str, tuple[str, ...]] = {
    "bucket": ("s3:ListBucket", "s3:GetBucketLocation", "s3:PutBucketPolicy", "s3:DeleteBucket"),
    "key": (
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "kms:Encrypt",
        "kms:DescribeKey",
        "kms:CreateGrant",
        "kms:PutKeyPolicy",
    ),
    "repository": ("ecr:BatchGetImage", "ecr:PutImage", "ecr:DescribeImages", "ecr:SetRepositoryPolicy"),
    "function": ("lambda:InvokeFunction", "lambda:UpdateFunctionCode"),
    "role": ("sts:AssumeRole", "sts:SetSourceIdentity"),
    "role settings": ("iam:PassRole", "iam:PutRolePolicy", "iam:DeleteRolePermissionsBoundary"),
    "state machine": ("states:StartExecution",),
    "build project": ("codebuild:StartBuild", "codebuild:UpdateProject"),
    "log group": ("logs:CreateLogStream", "logs:GetLogEvents"),
    "domain": ("sagemaker:DescribeDomain", "sagemaker:UpdateDomain", "sagemaker:DeleteDomain"),
}
