"""Words of the statement of intent, and what is said alike of every stack."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from access.inventory import Inventory
from stacks.deployment import BaseDeployment, Deployment, ResearchDeployment, SubscriberConfig
from stacks.deployment.names import Names, PayloadBucketNames, ResearchNames, SubscriberNames
from stacks.deployment.regions import dns_suffix, partition

# Names ---------------------------------------------------------------------------------------------------------------


@cache
def names_of(deployment: Deployment) -> Names:
    """The deployment's names, made once."""
    return Names(deployment)


def subscriber_names(deployment: Deployment, subscriber: SubscriberConfig) -> SubscriberNames:
    return names_of(deployment).subscribers[subscriber.name]


def payload_bucket(deployment: Deployment, region: str | None = None) -> PayloadBucketNames:
    """The publisher's payload bucket, or its replica in a Region."""
    publisher = names_of(deployment).publisher
    return publisher.replicas.get(region or "", publisher.payload_bucket)


def research_names(deployment: Deployment | ResearchDeployment) -> ResearchNames:
    assert deployment.research
    return ResearchNames(deployment.name, deployment.research)


def s3_endpoint(region: str) -> str:
    """The value of `kms:ViaService` for S3 in a Region."""
    return f"s3.{region}.{dns_suffix(region)}"


# Who -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """Anybody in the account whom the account's own policies let."""

    id: str


@dataclass(frozen=True)
class Roles:
    """These roles of the account, as far as the account's own policies let them."""

    account: str
    arns: tuple[str, ...]


@dataclass(frozen=True)
class Named:
    """This one role, named by the policy itself: in its own account it needs no other permission."""

    arn: str


@dataclass(frozen=True)
class Service:
    """An AWS service, when it acts for one of these sources, or for this account. With neither, for anybody: see
    `SERVICES_WITHOUT_SOURCE`."""

    name: str
    sources: tuple[str, ...] = ()
    account: str | None = None


SERVICES_WITHOUT_SOURCE = {
    # Lambda names no source when it assumes an execution role: a condition would lock the function out. Lambda takes
    # only a role of the function's own account, from somebody who may pass that role.
    "lambda.amazonaws.com",
    # Nor is S3 known to when it replicates. It takes only a role of the bucket's own account, from somebody who may
    # pass that role.
    "s3.amazonaws.com",
}


@dataclass(frozen=True)
class Everybody:
    """Signed or not. For the endpoints of a VPC alone: what goes through is not let in yet."""


Who = Account | Roles | Named | Service | Everybody


class Like(str):
    """A pattern, as in a policy: `*`, `?`, and variables such as `${aws:SourceIdentity}`."""


When = Mapping[str, tuple[str, ...]]
"""Context keys that have to be there, each with one of these values; of a key with several, all."""


# What ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Door:
    """Somebody who is let in. `may` and `on` are patterns as in a policy."""

    what: str
    who: Who
    may: tuple[str, ...]
    on: tuple[str, ...]
    when: When = field(default_factory=dict)


@dataclass(frozen=True)
class Guard:
    """Something with a policy of its own: what that policy lets through, whatever the caller's own policies say."""

    kind: str
    arn: str
    account: str
    doors: tuple[Door, ...] = ()
    over_tls: tuple[str, ...] = ()
    """Actions that are refused to everybody, the owner's administrators included, without TLS."""
    only: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(action, context key, values): that action is refused to everybody unless the key has one of the values."""

    @property
    def owner_decides(self) -> bool:
        """Whether policies of the owning account are enough to act on it. Not with keys and with roles' trust: what
        those do not say themselves, nobody may. Nor with a VPC's endpoints, which let nothing else through."""
        return self.kind not in ("key", "role", "endpoint")


@dataclass(frozen=True)
class May:
    """Something that a role is for."""

    may: tuple[str, ...]
    on: tuple[str, ...]
    when: When = field(default_factory=dict)
    within: When = field(default_factory=dict)
    """Context keys all of whose values, if they are there at all, are among these."""


@dataclass(frozen=True)
class Intent:
    """Guards by ARN of what is guarded, jobs by ARN of the role; what permission boundaries leave, by their ARN."""

    guards: Mapping[str, Guard]
    jobs: Mapping[str, tuple[May, ...]]
    boundaries: Mapping[str, tuple[May, ...]] = field(default_factory=dict)


Party = tuple[list[Guard], dict[str, tuple[May, ...]]]

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
SQS_TAKE = (
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibility",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
)
KEY_USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")
KEY_UPLOAD = ("kms:GenerateDataKey", "kms:Decrypt")
LOG = ("logs:CreateLogStream", "logs:PutLogEvents")
TRACE = May(("xray:PutTraceSegments", "xray:PutTelemetryRecords"), ("*",))


PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PUSH = ("ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart")
SIGN_ON_TO_REGISTRY = May(("ecr:GetAuthorizationToken",), ("*",))
# For the log delivery of a state machine, which knows no narrower resource.
DELIVER_LOGS = (
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
)
LAMBDA = Service("lambda.amazonaws.com")


# Said alike of every stack ------------------------------------------------------------------------------------------


def run_by(role: str, home: str, who: Who, how: tuple[str, ...] = ("sts:AssumeRole",)) -> Guard:
    return Guard("role", role, home, (Door("assumes the role", who, how, (role,)),))


def emptied(deployment: BaseDeployment, found: Inventory, stack: str, bucket: str) -> Iterator[Door]:
    """With `ephemeral`, CDK's own function empties the stack's bucket before it is deleted."""
    if deployment.ephemeral:
        yield Door(
            "is emptied before it is deleted",
            Named(emptying_role(found, stack)),
            ("s3:PutBucketPolicy", "s3:GetBucket*", "s3:List*", "s3:DeleteObject*"),
            (bucket, f"{bucket}/*"),
        )


def with_emptying(
    deployment: BaseDeployment,
    found: Inventory,
    stack: str,
    home: str,
    guards: list[Guard],
    jobs: dict[str, tuple[May, ...]],
) -> Party:
    if deployment.ephemeral:
        role = emptying_role(found, stack)
        function = found.arn_of(stack, "CustomS3AutoDeleteObjectsCustomResourceProviderHandler")
        guards += [run_by(role, home, Service("lambda.amazonaws.com")), Guard("function", function, home)]
        # What it logs; the managed policy for functions that CDK attaches.
        jobs[role] = (May(("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"), ("*",)),)
    return guards, jobs


def emptying_role(found: Inventory, stack: str) -> str:
    return found.arn_of(stack, "CustomS3AutoDeleteObjectsCustomResourceProviderRole")


def arn(service: str, region: str, account: str, resource: str) -> str:
    return f"arn:{partition(region)}:{service}:{region}:{account}:{resource}"


def log_group(region: str, account: str, name: str) -> str:
    return arn("logs", region, account, f"log-group:{name}:*")


def assets(region: str, account: str) -> str:
    """CDK's bucket, where build contexts and scripts are."""
    return f"arn:{partition(region)}:s3:::cdk-hnb659fds-assets-{account}-{region}"


# Images that CodeBuild makes -----------------------------------------------------------------------------------------


def built(role: str, home: str, *, contexts: str, log: str, repository: str) -> Party:
    """What a build's role is for: one context of CDK's bucket into one repository."""
    jobs = (
        May(("s3:GetObject", "s3:GetObjectVersion"), (f"{contexts}/*",)),
        May(("s3:GetBucketLocation",), (contexts,)),
        May(LOG, (log,)),
        May((*PULL, *PUSH, "ecr:DescribeImages"), (repository,)),
        SIGN_ON_TO_REGISTRY,
    )
    return [run_by(role, home, Service("codebuild.amazonaws.com", account=home))], {role: jobs}


def builds(projects: tuple[str, ...], repositories: tuple[str, ...], logs: tuple[str, ...]) -> tuple[May, ...]:
    """What the function that builds images is for."""
    return (
        May(tuple(f"codebuild:{each}" for each in ("StartBuild", "StopBuild", "BatchGetBuilds")), projects),
        May(("codebuild:ListBuildsForProject",), projects),
        May(("ecr:DescribeImages",), repositories),
        May(("logs:GetLogEvents",), logs),
    )


def our_function(role: str, region: str, home: str, name: str) -> Party:
    """A function of ours that nobody invokes but by its account's own policies."""
    guards = [Guard("function", arn("lambda", region, home, f"function:{name}"), home), run_by(role, home, LAMBDA)]
    return guards, {role: (May(LOG, (log_group(region, home, f"/aws/lambda/{name}"),)), TRACE)}


def waiting_provider(found: Inventory, stack: str, provider: str, home: str, function: str) -> Party:
    """CDK's framework: three functions and a state machine that call one of ours, by its ARN, until it is done."""

    def named(construct: str) -> str:
        return found.arn_of(stack, f"{provider}{construct}")

    calls: tuple[May, ...] = (
        May(("logs:CreateLogGroup", *LOG), ("*",)),  # the managed policy for functions that CDK attaches
        May(("lambda:InvokeFunction",), (function, f"{function}:*")),
        May(("lambda:GetFunction",), (function,)),
    )
    guards: list[Guard] = []
    jobs: dict[str, tuple[May, ...]] = {}
    for each in ("onEvent", "isComplete", "onTimeout"):
        role = named(f"framework{each}ServiceRole")
        guards += [Guard("function", named(f"framework{each}"), home), run_by(role, home, LAMBDA)]
        jobs[role] = calls
    jobs[named("frameworkonEventServiceRole")] += (May(("states:StartExecution",), (named("waiterstatemachine"),)),)
    waiter = named("waiterstatemachineRole")
    guards.append(run_by(waiter, home, Service("states.amazonaws.com", account=home)))
    asked = [named(f"framework{each}") for each in ("isComplete", "onTimeout")]
    jobs[waiter] = (
        May(("lambda:InvokeFunction",), (*asked, *(f"{each}:*" for each in asked))),
        May((*DELIVER_LOGS, *LOG), ("*",)),
    )
    return guards, jobs
