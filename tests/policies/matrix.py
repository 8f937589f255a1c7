"""The access matrix: requests with the decisions of the statement of intent, for the simulator.

Callers are of four kinds: the deployment's roles; the same roles with policies that allow everything, which shows the
limits of the resource policies; users and roles outside the deployment, in all of its accounts and in others; and
services, for the right source and for wrong ones.
"""

from collections.abc import Container, Iterator
from dataclasses import replace

from access.inventory import Inventory
from stacks.deployment import Deployment, ResearchDeployment
from stacks.deployment.names import Place
from stacks.deployment.regions import partition
from tests.policies.intent import readers, via_s3_for
from tests.policies.research_matrix import research_scene
from tests.policies.rows import (
    ALLOW_ALL,
    NEIGHBOUR,
    OTHER_ACCOUNT,
    Caller,
    Changes,
    Context,
    Row,
    Scene,
    Target,
    default_key_policy,
    rows_of,
    signed,
    user,
)
from tests.policies.terms import Intent, ResourceIntent, arn, key, names_of, payload_bucket, subscriber_names

# Rows ----------------------------------------------------------------------------------------------------------------


def rows(
    deployment: Deployment | ResearchDeployment,
    inventory: Inventory,
    intent: Intent,
    *,
    changes: Changes | None = None,
    callers: Container[str] | None = None,
) -> Iterator[Row]:
    """Yield the rows of every caller and target, of those with one of these names, or of those that changes affect."""
    for scene in _scenes(deployment, inventory, intent):
        for target in scene.targets:
            policies = {resource.arn for resource in (target.intent, target.endpoint) if resource}
            changed = changes is None or not policies.isdisjoint(changes.resources)
            selected = [
                caller
                for caller in scene.callers
                if (changed or (changes and caller.principal in changes.roles))
                and (callers is None or caller.name in callers)
                and scene.includes(caller, target)
            ]
            for action in target.actions:
                for caller in selected:
                    yield from rows_of(scene, caller, action, target)


def _scenes(deployment: Deployment | ResearchDeployment, inventory: Inventory, intent: Intent) -> Iterator[Scene]:
    if isinstance(deployment, Deployment):
        yield Scene(
            tuple(_callers(deployment, inventory, intent)),
            tuple(_targets(deployment, inventory, intent)),
            lambda _, action, __: _variants(deployment, action),
        )
    if deployment.research:
        yield research_scene(deployment, deployment.research, inventory, intent)


def _variants(deployment: Deployment, action: str) -> Iterator[tuple[str, Context]]:
    """Yield the variants of a request for an action."""
    match action:
        case "kms:Decrypt" | "kms:Encrypt" | "kms:GenerateDataKey":
            for region in deployment.publisher.replicas:
                replica = {name: value for name, (value,) in via_s3_for(payload_bucket(deployment, region)).items()}
                yield f"via S3 for the replica in {region}", {**replica}
            right = {name: value for name, (value,) in via_s3_for(payload_bucket(deployment)).items()}
            via, bucket = right
            yield "via S3 for the payload bucket", {**right}
            yield "directly", {}
            yield "directly, with the bucket", {bucket: right[bucket]}
            yield "via S3 of another Region", {**right, via: "s3.eu-central-1.amazonaws.com"}
            yield "via another service", {**right, via: right[via].replace("s3.", "sqs.", 1)}
            yield "via S3 for another bucket", {**right, bucket: right[bucket] + "-other"}
        case "sns:Subscribe":
            for subscriber in deployment.subscribers:
                own = subscriber_names(deployment, subscriber).endpoint
                yield f"the endpoint of {subscriber.name}", {"sns:Protocol": subscriber.kind, "sns:Endpoint": own}
                yield f"the endpoint of {subscriber.name} as https", {"sns:Protocol": "https", "sns:Endpoint": own}
                yield (
                    f"another endpoint in the account of {subscriber.name}",
                    {"sns:Protocol": subscriber.kind, "sns:Endpoint": own + "-other"},
                )
            yield "a web server", {"sns:Protocol": "https", "sns:Endpoint": "https://collector.invalid/"}
            queue = arn("sqs", deployment.publisher.region, OTHER_ACCOUNT, "collector")
            yield "a queue of another account", {"sns:Protocol": "sqs", "sns:Endpoint": queue}
        case "iam:PassRole":
            for service in ("ecs-tasks", "lambda", "states", "ec2", "sagemaker"):
                yield f"to {service}", {"iam:PassedToService": f"{service}.amazonaws.com"}
        case _:
            yield "plainly", {}


# Callers -------------------------------------------------------------------------------------------------------------


def _callers(deployment: Deployment, inventory: Inventory, intent: Intent) -> Iterator[Caller]:
    organization, region = deployment.organization, deployment.publisher.region
    accounts = {
        deployment.publisher.account,
        *(subscriber.account for subscriber in deployment.subscribers),
        *(sender.account for sender in deployment.senders),
    }
    for role in inventory.roles.values():
        context = signed(role.arn, role.account, organization)
        permissions = intent.role_permissions[role.arn]
        yield Caller(f"role {role.name}", role.arn, role.account, role.policies, permissions, context)
        name = f"role {role.name} with all permissions"
        yield Caller(name, role.arn, role.account, (ALLOW_ALL,), None, context)
    for account in sorted(accounts):
        yield user(organization, account, Place(account, region).account_arn, f"root user of {account}")
        yield user(organization, account, _administrator(deployment, account), f"administrator of {account}")
    for role_arn in (
        *(reader for subscriber in deployment.subscribers for reader in readers(subscriber, deployment)),
        *(names_of(deployment).senders[sender.name].role.arn for sender in deployment.senders),
    ):
        # A role with the same policies and another name, and roles with the same name in other accounts.
        home, name, copy = role_arn.split(":")[4], role_arn.rsplit("/", 1)[1], f"{role_arn}-2"
        yield Caller(
            f"copy of {name} in {home}",
            copy,
            home,
            inventory.roles[role_arn].policies,
            intent.role_permissions[role_arn],
            signed(copy, home, organization),
        )
        for account, description in _OUTSIDE:
            yield user(organization, account, role_arn.replace(home, account), f"namesake of {name} in {description}")
    for subscriber in deployment.subscribers:
        if subscriber.kind == "https":
            for principal in subscriber.reader_principals:
                yield user(organization, subscriber.account, principal, f"role {principal.rsplit('/', 1)[1]}")
    for account, description in _OUTSIDE:
        yield user(organization, account, _administrator(deployment, account), f"administrator of {description}")
    yield Caller("anonymous caller", None, None, (), ())
    yield from _services(deployment, inventory)


_OUTSIDE = ((OTHER_ACCOUNT, "another account"), (NEIGHBOUR, "another account of the organisation"))


def _administrator(deployment: Deployment, account: str) -> str:
    return f"arn:{partition(deployment.publisher.region)}:iam::{account}:role/Admin"


def _services(deployment: Deployment, inventory: Inventory) -> Iterator[Caller]:
    region, home = deployment.publisher.region, deployment.publisher.account
    topic = names_of(deployment).publisher.topic.arn
    principals = {
        principal
        for endpoint_region in (region, *(subscriber.region for subscriber in deployment.subscribers))
        for principal in names_of(deployment).publisher.sns_principals(endpoint_region)
    }
    topics = {
        "the topic": topic,
        "another topic of the publisher": f"{topic}-other",
        "the topic of another account": topic.replace(home, OTHER_ACCOUNT),
        "the topic of another Region": topic.replace(region, "eu-central-1"),
    }
    for principal in sorted(principals):
        for description, source in topics.items():
            yield _service(principal, description, source)
    rules = [resource.arn for resource in inventory.other_resources.values() if resource.kind == "rule"]
    for rule in rules:
        yield _service("events.amazonaws.com", f"the rule {rule.rsplit('/', 1)[1]}", rule)
        yield _service("events.amazonaws.com", "another rule of the publisher", f"{rule}-other")
        yield _service("events.amazonaws.com", "the rule of another account", rule.replace(home, OTHER_ACCOUNT))
    # The right service for a source of another kind, and services that have no permission.
    yield _service("events.amazonaws.com", "the topic", topic)
    yield _service("s3.amazonaws.com", "the payload bucket", names_of(deployment).publisher.payload_bucket.bucket.arn)
    yield _service("cloudwatch.amazonaws.com", "an alarm", arn("cloudwatch", region, home, "alarm:any"))
    for stack, stack_region in sorted(inventory.regions.items()):
        account, alarm = inventory.accounts[stack], f"alarm:{stack}-any"
        for description, source in {
            f"an alarm of {stack}": arn("cloudwatch", stack_region, account, alarm),
            f"an alarm of {stack} in another Region": arn("cloudwatch", "eu-central-1", account, alarm),
            f"an alarm of {stack} in another account": arn("cloudwatch", stack_region, OTHER_ACCOUNT, alarm),
        }.items():
            yield _service("cloudwatch.amazonaws.com", description, source)
    accounts = sorted({home, *(subscriber.account for subscriber in deployment.subscribers), OTHER_ACCOUNT})
    for service in ("lambda", "states", "ecs-tasks", "ec2", "sagemaker", "s3"):
        for account in accounts:
            source_account = (("aws:SourceAccount", account),)
            yield Caller(f"{service} for {account}", f"{service}.amazonaws.com", None, (), (), source_account)


def _service(principal: str, description: str, source: str) -> Caller:
    context = [("aws:SourceArn", source)]
    if account := source.split(":")[4]:
        context.append(("aws:SourceAccount", account))
    return Caller(f"{principal} for {description}", principal, None, (), (), tuple(context))


# Targets -------------------------------------------------------------------------------------------------------------


def _actions(service: str, names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names.split())


_REPLICATION = _actions("s3", "GetObjectVersionForReplication ReplicateObject ReplicateDelete")
_ACTIONS: dict[str, tuple[str, ...]] = {
    "bucket": _actions("s3", "ListBucket ListBucketVersions GetBucketPolicy PutBucketPolicy DeleteBucket"),
    "object": _actions(
        "s3",
        "GetObject GetObjectVersion GetObjectAcl PutObject PutObjectAcl DeleteObject DeleteObjectVersion "
        "AbortMultipartUpload",
    ),
    "key": _actions(
        "kms", "Decrypt Encrypt GenerateDataKey DescribeKey CreateGrant PutKeyPolicy ScheduleKeyDeletion DisableKey"
    ),
    "topic": _actions(
        "sns",
        "Publish Subscribe AddPermission RemovePermission SetTopicAttributes GetTopicAttributes "
        "ListSubscriptionsByTopic DeleteTopic",
    ),
    "queue": _actions(
        "sqs",
        "SendMessage ReceiveMessage DeleteMessage PurgeQueue SetQueueAttributes GetQueueAttributes AddPermission "
        "DeleteQueue",
    ),
    "function": _actions("lambda", "InvokeFunction UpdateFunctionCode AddPermission GetFunction"),
    "bus": ("events:PutEvents", "events:DeleteEventBus"),
    "role": ("sts:AssumeRole",),
    "role settings": ("iam:PassRole", "iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy"),
    "state machine": ("states:StartExecution", "states:UpdateStateMachine"),
    "task definition": ("ecs:RunTask",),
    "table": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteTable"),
    "log group": ("logs:CreateLogStream", "logs:DeleteLogGroup"),
}
_KEYS = {
    "payload bucket": ("payloads/one", "outbox/one", "outbox/another-sender/one", "payloads-private/one", "one"),
    "staging bucket": ("inline/one", "other/one"),
    "landing bucket": ("landed/one", "other/one"),
}


def _targets(deployment: Deployment, inventory: Inventory, intent: Intent) -> Iterator[Target]:
    replicas = deployment.publisher.replicas
    payload_buckets = {payload_bucket(deployment, region).bucket.arn for region in (None, *replicas)}
    object_actions = _ACTIONS["object"] + (_REPLICATION if replicas else ())
    research = f"{deployment.name}-research/"
    for resource in inventory.resource_policies.values():
        if resource.where.startswith(research) or resource.kind not in _ACTIONS:
            continue
        blocked = set(resource.properties.get("PublicAccessBlockConfiguration", {}).values()) == {True}
        target = Target(
            resource.kind,
            resource.arn,
            resource.account,
            intent.resource_policies[resource.arn],
            resource.policy,
            block_public=blocked,
        )
        yield replace(target, actions=_ACTIONS[resource.kind])
        if resource.kind == "bucket":
            kind = _kind_of_bucket(resource.arn, payload_buckets)
            uploads = [f"outbox/{sender.name}/one" for sender in deployment.senders] if "payload" in kind else []
            for object_key in (*_KEYS[kind], *uploads):
                yield replace(target, arn=f"{resource.arn}/{object_key}", actions=object_actions)
        if resource.kind == "role":
            actions = _ACTIONS["role settings"]
            yield Target("role settings", resource.arn, resource.account, None, None, actions=actions)
    for other in inventory.other_resources.values():
        if other.kind in _ACTIONS and not other.where.startswith(research):
            yield Target(other.kind, other.arn, other.account, None, None, actions=_ACTIONS[other.kind])
    yield from _outside_resources(deployment)


def _kind_of_bucket(bucket: str, payload_buckets: Container[str]) -> str:
    if bucket in payload_buckets:
        return "payload bucket"
    return "landing bucket" if "-landing-" in bucket else "staging bucket"


def _outside_resources(deployment: Deployment) -> Iterator[Target]:
    """Yield resources of the publisher's account that are not in the deployment."""
    home, region = deployment.publisher.account, deployment.publisher.region
    key_arn = payload_bucket(deployment).key_arn_pattern.replace("*", "of-others")
    policy = default_key_policy(Place(home, region).account_arn)
    yield Target("key", key_arn, home, key(key_arn, home), policy, actions=_ACTIONS["key"])
    for kind, other in (
        ("object", f"{names_of(deployment).publisher.payload_bucket.bucket.arn}-of-others/payloads/one"),
        ("topic", f"{names_of(deployment).publisher.topic.arn}-of-others"),
    ):
        yield Target(kind, other, home, ResourceIntent(kind, other, home), None, actions=_ACTIONS[kind])
