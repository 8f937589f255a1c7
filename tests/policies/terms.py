"""Terms of the statement of intent, and the parts that several stacks share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from access.inventory import Inventory
from stacks.deployment import (
    BaseDeployment,
    Deployment,
    Names,
    PayloadBucketNames,
    ResearchDeployment,
    ResearchNames,
    SubscriberConfig,
    SubscriberNames,
)
from stacks.deployment.regions import dns_suffix, partition

# Names ---------------------------------------------------------------------------------------------------------------


@cache
def names_of(deployment: Deployment) -> Names:
    """Return the deployment's names, made once."""
    return Names(deployment)


def subscriber_names(deployment: Deployment, subscriber: SubscriberConfig) -> SubscriberNames:
    return names_of(deployment).subscribers[subscriber.name]


def payload_bucket(deployment: Deployment, region: str | None = None) -> PayloadBucketNames:
    """Return the publisher's payload bucket, or its replica in a Region."""
    publisher = names_of(deployment).publisher
    return publisher.replicas.get(region or "", publisher.payload_bucket)


def research_names(deployment: Deployment | ResearchDeployment) -> ResearchNames:
    assert deployment.research
    return ResearchNames(deployment.name, deployment.research)


def arn(service: str, region: str, account: str, resource: str) -> str:
    return f"arn:{partition(region)}:{service}:{region}:{account}:{resource}"


def log_group(region: str, account: str, name: str) -> str:
    return arn("logs", region, account, f"log-group:{name}:*")


def asset_bucket(region: str, account: str) -> str:
    """Return the ARN of CDK's bucket, which has build contexts and scripts."""
    return f"arn:{partition(region)}:s3:::cdk-hnb659fds-assets-{account}-{region}"


# Principals ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """All principals of an account, as far as the account's own policies allow it."""

    id: str


@dataclass(frozen=True)
class Roles:
    """Roles of an account, as far as the account's own policies allow it."""

    account: str
    arns: tuple[str, ...]


@dataclass(frozen=True)
class NamedRole:
    """A role that the policy names as principal. In its own account it needs no other permission."""

    arn: str


@dataclass(frozen=True)
class Service:
    """An AWS service, for one of these sources or for this account. Without both: see SERVICES_WITHOUT_SOURCE."""

    name: str
    sources: tuple[str, ...] = ()
    account: str | None = None


SERVICES_WITHOUT_SOURCE = {
    # Lambda sends no source when it assumes an execution role, so a condition would disable the function. Lambda
    # assumes only roles of the function's own account, passed by a caller with `iam:PassRole`.
    "lambda.amazonaws.com",
    # It is not documented that S3 sends a source when it replicates. S3 assumes only roles of the bucket's own account,
    # passed by a caller with `iam:PassRole`.
    "s3.amazonaws.com",
}


@dataclass(frozen=True)
class AnyPrincipal:
    """All principals, and anonymous requests. For VPC endpoints only, whose policies give no access by themselves."""


Principal = Account | Roles | NamedRole | Service | AnyPrincipal


# Permissions ---------------------------------------------------------------------------------------------------------


class Like(str):
    """A pattern as in StringLike: `*`, `?`, and variables such as `${aws:SourceIdentity}`."""


Conditions = Mapping[str, tuple[str, ...]]
"""Context keys, each with its accepted values. A key must be present, and all values of a multivalued key accepted."""


@dataclass(frozen=True)
class Grant:
    """An intended permission of a resource policy. Actions and resources are patterns, as in a policy."""

    principal: Principal
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)


@dataclass(frozen=True)
class ResourceIntent:
    """The intended policy of a resource. It is independent of the callers' own policies."""

    kind: str
    arn: str
    account: str
    grants: tuple[Grant, ...] = ()
    tls_actions: tuple[str, ...] = ()
    """Actions that are denied without TLS, also to the owner's administrators."""
    restrictions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """Action, context key, values: the action is denied to all principals unless the key has one of the values."""

    @property
    def owner_decides(self) -> bool:
        """Whether policies of the owning account suffice. Keys, roles and VPC endpoints must allow each request."""
        return self.kind not in ("key", "role", "endpoint")


@dataclass(frozen=True)
class Permission:
    """An intended permission of a role's own policies."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)
    conditions_if_present: Conditions = field(default_factory=dict)
    """Conditions on keys that may be absent."""


@dataclass
class Intent:
    """All intended permissions of a deployment, by the ARN of the resource, the role, or the permissions boundary."""

    resource_policies: dict[str, ResourceIntent] = field(default_factory=dict)
    role_permissions: dict[str, tuple[Permission, ...]] = field(default_factory=dict)
    boundaries: dict[str, tuple[Permission, ...]] = field(default_factory=dict)

    def add(self, *resources: ResourceIntent) -> None:
        for resource in resources:
            assert resource.arn not in self.resource_policies, f"{resource.arn} is added twice"
            self.resource_policies[resource.arn] = resource

    def add_role(self, role: str, trusted: Principal, actions: tuple[str, ...] = ("sts:AssumeRole",)) -> None:
        """Add a role that a principal may assume. Its permissions are added with `allow`."""
        self.add(ResourceIntent("role", role, role.split(":")[4], (Grant(trusted, actions, (role,)),)))
        self.role_permissions[role] = ()

    def allow(self, role: str, *permissions: Permission) -> None:
        """Add permissions to a role."""
        self.role_permissions[role] += permissions


S3_READ = ("s3:GetObject*", "s3:GetBucket*", "s3:List*")
S3_WRITE = (
    "s3:PutObject",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionTagging",
    "s3:Abort*",
)
S3_DELETE = ("s3:DeleteObject*",)
S3_UPLOAD = ("s3:PutObject", "s3:AbortMultipartUpload")
SQS_SEND = ("sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl")
SQS_CONSUME = (
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
)
KEY_USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")
KEY_UPLOAD = ("kms:GenerateDataKey", "kms:Decrypt")
LOG = ("logs:CreateLogStream", "logs:PutLogEvents")
# The managed policy for functions that CDK attaches to its own.
LOG_ANYWHERE = Permission(("logs:CreateLogGroup", *LOG), ("*",))
TRACE = Permission(("xray:PutTraceSegments", "xray:PutTelemetryRecords"), ("*",))
ECR_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
ECR_PUSH = ("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart")
ECR_LOGIN = Permission(("ecr:GetAuthorizationToken",), ("*",))
# State machines need these for log delivery, which has no narrower resource.
LOG_DELIVERY = (
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
)
LAMBDA = Service("lambda.amazonaws.com")


def via_s3(region: str) -> Conditions:
    """Return the condition of a key's use by S3 in a Region."""
    return {"kms:ViaService": (f"s3.{region}.{dns_suffix(region)}",)}


# Shared parts --------------------------------------------------------------------------------------------------------


def key(arn: str, account: str, *grants: Grant) -> ResourceIntent:
    """Return a KMS key. Its policy leaves the decision about the owner's principals to the account's own policies."""
    return ResourceIntent("key", arn, account, (Grant(Account(account), ("kms:*",), (arn,)), *grants))


def auto_delete(deployment: BaseDeployment, inventory: Inventory, stack: str, bucket: str) -> Iterator[Grant]:
    """Yield the grant to CDK's function that empties an ephemeral stack's bucket on deletion."""
    if deployment.ephemeral:
        actions = ("s3:PutBucketPolicy", "s3:GetBucket*", "s3:List*", "s3:DeleteObject*")
        yield Grant(NamedRole(_auto_delete_role(inventory, stack)), actions, (bucket, f"{bucket}/*"))


def add_auto_delete(intent: Intent, deployment: BaseDeployment, inventory: Inventory, stack: str) -> None:
    """Add CDK's function that empties the buckets of an ephemeral stack, and its role."""
    if deployment.ephemeral:
        role = _auto_delete_role(inventory, stack)
        function = inventory.arn_of(stack, "CustomS3AutoDeleteObjectsCustomResourceProviderHandler")
        intent.add(ResourceIntent("function", function, function.split(":")[4]))
        intent.add_role(role, LAMBDA)
        intent.allow(role, LOG_ANYWHERE)


def _auto_delete_role(inventory: Inventory, stack: str) -> str:
    return inventory.arn_of(stack, "CustomS3AutoDeleteObjectsCustomResourceProviderRole")


def add_build(intent: Intent, role: str, *, contexts: str, log: str, repository: str) -> None:
    """Add the role of a CodeBuild project, which builds an image from CDK's bucket into one repository."""
    intent.add_role(role, Service("codebuild.amazonaws.com", account=role.split(":")[4]))
    intent.allow(
        role,
        Permission(("s3:GetObject", "s3:GetObjectVersion"), (f"{contexts}/*",)),
        Permission(("s3:GetBucketLocation",), (contexts,)),
        Permission(LOG, (log,)),
        Permission((*ECR_PULL, *ECR_PUSH, "ecr:DescribeImages"), (repository,)),
        ECR_LOGIN,
    )


def start_builds(
    projects: tuple[str, ...], repositories: tuple[str, ...], logs: tuple[str, ...]
) -> tuple[Permission, ...]:
    """Return the permissions of the function that builds images."""
    return (
        Permission(("codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds"), projects),
        Permission(("codebuild:ListBuildsForProject",), projects),
        Permission(("ecr:DescribeImages",), repositories),
        Permission(("logs:GetLogEvents",), logs),
    )


def add_function(intent: Intent, role: str, region: str, name: str, *grants: Grant) -> str:
    """Add a function with its role, log group and traces. Return the function's ARN."""
    account = role.split(":")[4]
    function = arn("lambda", region, account, f"function:{name}")
    intent.add(ResourceIntent("function", function, account, grants))
    intent.add_role(role, LAMBDA)
    intent.allow(role, Permission(LOG, (log_group(region, account, f"/aws/lambda/{name}"),)), TRACE)
    return function


def add_async_provider(intent: Intent, inventory: Inventory, stack: str, provider: str, function: str) -> None:
    """Add CDK's provider: three functions and a state machine that invoke `function` until it is done."""

    def named(construct: str) -> str:
        return inventory.arn_of(stack, f"{provider}{construct}")

    account = function.split(":")[4]
    for name in ("onEvent", "isComplete", "onTimeout"):
        role = named(f"framework{name}ServiceRole")
        intent.add(ResourceIntent("function", named(f"framework{name}"), account))
        intent.add_role(role, LAMBDA)
        intent.allow(
            role,
            LOG_ANYWHERE,
            Permission(("lambda:InvokeFunction",), (function, f"{function}:*")),
            Permission(("lambda:GetFunction",), (function,)),
        )
    state_machine = Permission(("states:StartExecution",), (named("waiterstatemachine"),))
    intent.allow(named("frameworkonEventServiceRole"), state_machine)
    waiter = named("waiterstatemachineRole")
    intent.add_role(waiter, Service("states.amazonaws.com", account=account))
    invoked = [named(f"framework{name}") for name in ("isComplete", "onTimeout")]
    intent.allow(
        waiter,
        Permission(("lambda:InvokeFunction",), (*invoked, *(f"{function}:*" for function in invoked))),
        Permission((*LOG_DELIVERY, *LOG), ("*",)),
    )
