"""Terms of the statement of intent, and the parts that several stacks share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from access.inventory import Statement
from access.table import Expected
from stacks.deployment.regions import dns_suffix, partition

# Condition keys ------------------------------------------------------------------------------------------------------

ARN_KEYS = {
    *("aws:principalarn", "aws:sourcearn", "lambda:functionarn", "ecs:cluster", "iam:associatedresourcearn"),
    *("ec2:subnet", "sagemaker:owneruserprofilearn"),
}
MULTIVALUED_KEYS = {"sagemaker:instancetypes", "sagemaker:vpcsubnets", "sagemaker:vpcsecuritygroupids"}

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
class Permission:
    """An intended permission of a role's own policies or, with a principal, of a resource's policy.

    Actions and resources are patterns, as in a policy.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)
    conditions_if_present: Conditions = field(default_factory=dict)
    """Conditions on keys that may be absent."""
    principal: Principal | None = None

    @property
    def statement(self) -> Statement:
        """The permission as a policy's statement."""
        named, condition = _named(self.principal) if self.principal else ({}, {})
        for key, values in self.conditions.items():
            condition.setdefault(_operator(key, values), {})[key] = values
            if key.lower() in MULTIVALUED_KEYS:
                condition.setdefault("Null", {})[key] = ("false",)
        for key, values in self.conditions_if_present.items():
            operator = _operator(key, values)  # ForAllValues holds without a value
            condition.setdefault(operator if ":" in operator else f"{operator}IfExists", {})[key] = values
        return {"Effect": "Allow", **named, "Action": self.actions, "Resource": self.resources, "Condition": condition}


def _named(principal: Principal) -> tuple[dict[str, object], dict[str, dict[str, tuple[str, ...]]]]:
    """Return a principal as the elements `Principal` and `Condition` of a statement."""
    match principal:
        case Account(account):
            return {"Principal": {"AWS": account}}, {}
        case Roles(account, arns):
            return {"Principal": {"AWS": account}}, {"ArnLike": {"aws:PrincipalArn": arns}}
        case NamedRole(arn):
            return {"Principal": {"AWS": arn}}, {}
        case AnyPrincipal():
            return {"Principal": "*"}, {}
        case Service(name, sources, owner):
            source = {"ArnLike": {"aws:SourceArn": sources}} if sources else {}
            return {"Principal": {"Service": name}}, source | (
                {"StringEquals": {"aws:SourceAccount": (owner,)}} if owner else {}
            )


def _operator(key: str, values: tuple[str, ...]) -> str:
    if key.lower() in MULTIVALUED_KEYS:
        return "ForAllValues:StringEquals"
    if key.lower() in ARN_KEYS:
        return "ArnLike"
    return "StringLike" if any(isinstance(value, Like) for value in values) else "StringEquals"


@dataclass(frozen=True)
class ResourceIntent:
    """The intended policy of a resource. It is independent of the callers' own policies."""

    grants: tuple[Permission, ...] = ()
    denials: tuple[Statement, ...] = ()

    @property
    def statements(self) -> list[Statement]:
        """The grants and denials as a policy's statements."""
        return [*(grant.statement for grant in self.grants), *self.denials]


def may(
    actions: str, *resources: str, when: Conditions | None = None, if_present: Conditions | None = None
) -> Permission:
    """Return a permission. Spaces separate the actions."""
    return Permission(tuple(actions.split()), resources, when or {}, if_present or {})


def grant(principal: Principal, actions: str, *resources: str, **conditions: Conditions) -> Permission:
    """Return a principal's permission, by default for the resource that has the policy. Conditions: see `may`."""
    return replace(may(actions, *resources, **conditions), principal=principal)


def deny(actions: str, *resources: str, **conditions: Mapping[str, object]) -> Statement:
    """Return a statement that denies requests to all principals, also to the owner's administrators."""
    denied = {"Action": actions.split(), "Resource": resources, "Condition": conditions}
    return {"Effect": "Deny", "Principal": "*", **denied}


@dataclass
class Intent:
    """All intended resources and permissions of a deployment, by the ARN of the resource or the role."""

    resources: dict[str, dict[str, Expected]] = field(default_factory=dict)
    """The intended resources, by stack and construct path without separators."""
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The values of the stacks' outputs, which people copy into other applications."""
    resource_policies: dict[str, ResourceIntent] = field(default_factory=dict)
    role_permissions: dict[str, tuple[Permission, ...]] = field(default_factory=dict)

    stated: dict[str, tuple[Statement, ...]] = field(default_factory=dict)
    """Statements of the deployment file, by the role's ARN. They are a part of the role's permissions."""

    def protect(self, arn: str, *grants: Permission, denials: Iterable[Statement] = ()) -> None:
        """Add a resource with a policy. A grant without resources is for the resource itself."""
        assert arn not in self.resource_policies, f"{arn} is added twice"
        self.resource_policies[arn] = ResourceIntent((), tuple(denials))
        self.extend(arn, *grants)

    def extend(self, arn: str, *grants: Permission) -> None:
        """Add grants to a resource that is already protected, each once."""
        resource = self.resource_policies[arn]
        new = (replace(grant, resources=grant.resources or (arn,)) for grant in grants)
        added = tuple(grant for grant in new if grant not in resource.grants)
        self.resource_policies[arn] = replace(resource, grants=resource.grants + added)

    def allow(self, role: str, *permissions: Permission) -> None:
        """Add permissions to a role."""
        self.role_permissions[role] += permissions

    def role_statements(self, role: str) -> list[Statement]:
        """Return the permissions of a role, with those of the deployment file, as statements of a policy."""
        return [*(permission.statement for permission in self.role_permissions[role]), *self.stated.get(role, ())]


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
