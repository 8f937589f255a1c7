"""Terms of the statement of intent, and the parts that several stacks share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from access.inventory import Statement
from access.table import Expected
from stacks.deployment.regions import dns_suffix, partition

# Names ---------------------------------------------------------------------------------------------------------------


def arn(service: str, region: str, account: str, resource: str) -> str:
    """Return an ARN in the Region's partition."""
    return f"arn:{partition(region)}:{service}:{region}:{account}:{resource}"


def log_group(region: str, account: str, name: str) -> str:
    """Return the ARN of a log group, as policies name it."""
    return arn("logs", region, account, f"log-group:{name}:*")


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
    # ECS's guide on the task execution role has a trust policy without a condition. ECS assumes only roles of the
    # task's own account, passed by a caller with `iam:PassRole`. The role pulls the image and writes the log.
    "ecs-tasks.amazonaws.com",
    # SNS's guide on delivery status logs has a trust policy without a condition. The role writes two log groups only.
    "sns.amazonaws.com",
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


ANY_VALUE = (Like("*"),)
Conditions = Mapping[str, tuple[str, ...]]
"""Context keys, each with its accepted values. A key must be present, and all values of a multivalued key accepted."""


@dataclass(frozen=True)
class Grant:
    """An intended permission of a resource policy. Actions and resources are patterns, as in a policy."""

    principal: Principal
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)
    conditions_if_present: Conditions = field(default_factory=dict)
    """Conditions on keys that may be absent."""


@dataclass(frozen=True)
class Denial:
    """Requests that are denied: the action on the resources, under conditions, unless other conditions hold."""

    action: str
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)
    unless: Conditions = field(default_factory=dict)


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
    denials: tuple["Denial", ...] = ()
    """Requests that are denied to all principals."""

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


def may(
    actions: str, *resources: str, when: Conditions | None = None, if_present: Conditions | None = None
) -> Permission:
    """Return a permission. Spaces separate the actions."""
    return Permission(tuple(actions.split()), resources, when or {}, if_present or {})


def let(
    principal: Principal,
    actions: str,
    *resources: str,
    when: Conditions | None = None,
    if_present: Conditions | None = None,
) -> Grant:
    """Return a grant, by default for the resource that has the policy. Spaces separate the actions."""
    return Grant(principal, tuple(actions.split()), resources, when or {}, if_present or {})


@dataclass
class Intent:
    """All intended resources and permissions of a deployment, by the ARN of the resource or the role."""

    resources: dict[str, dict[str, Expected]] = field(default_factory=dict)
    """The intended resources, by stack and construct path without separators."""
    resource_policies: dict[str, ResourceIntent] = field(default_factory=dict)
    role_permissions: dict[str, tuple[Permission, ...]] = field(default_factory=dict)

    stated: dict[str, tuple[Statement, ...]] = field(default_factory=dict)
    """Statements of the deployment file, by the role's ARN. They are a part of the role's permissions."""

    def protect(self, resource: ResourceIntent) -> None:
        """Add a resource with a policy. A grant without resources is for the resource itself."""
        assert resource.arn not in self.resource_policies, f"{resource.arn} is added twice"
        grants = (replace(grant, resources=grant.resources or (resource.arn,)) for grant in resource.grants)
        self.resource_policies[resource.arn] = replace(resource, grants=tuple(grants))

    def extend(self, arn: str, *grants: Grant) -> None:
        """Add grants to a resource that is already protected, each once."""
        resource = self.resource_policies[arn]
        new = (replace(grant, resources=grant.resources or (arn,)) for grant in grants)
        added = tuple(grant for grant in new if grant not in resource.grants)
        self.resource_policies[arn] = replace(resource, grants=resource.grants + added)

    def allow(self, role: str, *permissions: Permission) -> None:
        """Add permissions to a role."""
        self.role_permissions[role] += permissions


S3_READ = "s3:GetObject* s3:GetBucket* s3:List*"
S3_WRITE = (
    "s3:PutObject s3:PutObjectLegalHold s3:PutObjectRetention s3:PutObjectTagging s3:PutObjectVersionTagging s3:Abort*"
)
S3_DELETE = "s3:DeleteObject*"
S3_UPLOAD = "s3:PutObject s3:AbortMultipartUpload"
S3_SEND = f"{S3_UPLOAD} s3:PutObjectAcl"
SQS_SEND = "sqs:SendMessage sqs:GetQueueAttributes sqs:GetQueueUrl"
SQS_CONSUME = "sqs:ReceiveMessage sqs:DeleteMessage sqs:ChangeMessageVisibility sqs:GetQueueAttributes sqs:GetQueueUrl"
KEY_WRITE = "kms:Encrypt kms:Decrypt kms:ReEncrypt* kms:GenerateDataKey*"
KEY_READ = "kms:Decrypt kms:DescribeKey"
KEY_USE = f"{KEY_WRITE} kms:DescribeKey"
KEY_UPLOAD = "kms:GenerateDataKey kms:Decrypt"
LOG = "logs:CreateLogStream logs:PutLogEvents"
# The managed policy for functions that CDK attaches to its own.
LOG_ANYWHERE = may(f"logs:CreateLogGroup {LOG}", "*")
TRACE = may("xray:PutTraceSegments xray:PutTelemetryRecords", "*")
ECR_PULL = "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer"
ECR_PUSH = "ecr:CompleteLayerUpload ecr:InitiateLayerUpload ecr:PutImage ecr:UploadLayerPart"
ECR_LOGIN = may("ecr:GetAuthorizationToken", "*")
# State machines need these for log delivery, which has no narrower resource.
LOG_DELIVERY = (
    "logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery logs:ListLogDeliveries"
    " logs:PutResourcePolicy logs:DescribeResourcePolicies logs:DescribeLogGroups"
)
LAMBDA = Service("lambda.amazonaws.com")


def via_s3(region: str) -> Conditions:
    """Return the condition of a key's use by S3 in a Region. Its name may or may not end in the partition's domain."""
    return {"kms:ViaService": tuple(dict.fromkeys((f"s3.{region}.{dns_suffix(region)}", f"s3.{region}.amazonaws.com")))}
