"""The access matrix: who asks for what, in which circumstances, and what the statement of intent says of it.

`rows` makes the requests, each with its expectation from `intent.py`; `disagreements` asks the simulator about each,
with the policies of the templates. Callers are of four kinds: the deployment's own roles; the same roles with policies
wide open (what the other side's policies would let them, whatever their own say); people and roles who are nobody here,
in every account and in a stranger's; and services acting for the right source and for wrong ones.
"""

from collections.abc import Container, Iterator
from dataclasses import replace

from access.inventory import Inventory
from stacks.deployment import Deployment, ResearchDeployment
from stacks.deployment.names import Place
from stacks.deployment.regions import partition
from tests.policies.intent import endpoint, readers, through_s3
from tests.policies.research_matrix import research_scene
from tests.policies.rows import (
    NEIGHBOUR,
    STRANGER,
    WIDE_OPEN,
    Caller,
    Changed,
    Context,
    Row,
    Scene,
    Target,
    circumstances,
    person,
    signed,
)
from tests.policies.terms import Account, Door, Guard, Intent, arn, names_of, payload_bucket

# Rows ----------------------------------------------------------------------------------------------------------------


def rows(
    deployment: Deployment | ResearchDeployment, found: Inventory, intent: Intent, *, about: Changed | None = None
) -> Iterator[Row]:
    """Every caller at every target. `about` keeps to the rows that these decide."""
    for scene in _scenes(deployment, found, intent):
        for target in scene.targets:
            decided_by = {guard.arn for guard in (target.guard, target.through) if guard}
            here = about is None or not decided_by.isdisjoint(about.guarded)
            asking = [each for each in scene.callers if here or (about and each.principal in about.roles)]
            asking = [each for each in asking if scene.asks(each, target)]
            for action in target.actions:
                for caller in asking:
                    yield from circumstances(scene, caller, action, target)


def _scenes(deployment: Deployment | ResearchDeployment, found: Inventory, intent: Intent) -> Iterator[Scene]:
    if isinstance(deployment, Deployment):
        yield Scene(
            tuple(_callers(deployment, found, intent)),
            tuple(_targets(deployment, found, intent)),
            lambda _, action, __: _requests(deployment, action),
        )
    if deployment.research:
        yield research_scene(deployment, deployment.research, found, intent)


def _requests(deployment: Deployment, action: str) -> Iterator[tuple[str, Context]]:
    """The ways in which an action can be asked for."""
    match action:
        case "kms:Decrypt" | "kms:Encrypt" | "kms:GenerateDataKey":
            for region in deployment.publisher.replicas:
                near = {key: values[0] for key, values in through_s3(deployment, region).items()}
                yield f"through S3 for the replica in {region}", {**near}
            right = {key: values[0] for key, values in through_s3(deployment).items()}
            via, bucket = right
            yield "through S3 for the payload bucket", {**right}
            yield "directly", {}
            yield "directly, naming the bucket", {bucket: right[bucket]}
            yield "through S3 of another Region", {**right, via: "s3.eu-central-1.amazonaws.com"}
            yield "through another service", {**right, via: right[via].replace("s3.", "sqs.", 1)}
            yield "through S3 for another bucket", {**right, bucket: right[bucket] + "-other"}
        case "sns:Subscribe":
            for subscriber in deployment.subscribers:
                own = endpoint(deployment, subscriber)
                yield f"the endpoint of {subscriber.name}", {"sns:Protocol": subscriber.kind, "sns:Endpoint": own}
                yield f"the endpoint of {subscriber.name} as https", {"sns:Protocol": "https", "sns:Endpoint": own}
                yield (
                    f"another endpoint in the account of {subscriber.name}",
                    {"sns:Protocol": subscriber.kind, "sns:Endpoint": own + "-other"},
                )
            yield "a web server", {"sns:Protocol": "https", "sns:Endpoint": "https://collector.invalid/"}
            stolen = arn("sqs", deployment.publisher.region, STRANGER, "collector")
            yield "a stranger's queue", {"sns:Protocol": "sqs", "sns:Endpoint": stolen}
        case "iam:PassRole":
            for service in ("ecs-tasks", "lambda", "states", "ec2", "sagemaker"):
                yield f"to {service}", {"iam:PassedToService": f"{service}.amazonaws.com"}
        case _:
            yield "plainly", {}


# Callers -------------------------------------------------------------------------------------------------------------


def _callers(deployment: Deployment, found: Inventory, intent: Intent) -> Iterator[Caller]:
    accounts = {
        deployment.publisher.account,
        *(subscriber.account for subscriber in deployment.subscribers),
        *(sender.account for sender in deployment.senders),
    }
    for role in found.roles.values():
        context = signed(role.arn, role.account, deployment.organization)
        yield Caller(f"role {role.name}", role.arn, role.account, role.policies, intent.jobs[role.arn], context)
        yield Caller(
            f"role {role.name}, its own policies wide open", role.arn, role.account, (WIDE_OPEN,), None, context
        )
    for account in sorted(accounts):
        yield person(
            deployment.organization,
            account,
            Place(account, deployment.publisher.region).account_arn,
            f"root user of {account}",
        )
        yield person(
            deployment.organization, account, _administrator(deployment, account), f"administrator of {account}"
        )
    for crossing in (
        *(reader for subscriber in deployment.subscribers for reader in readers(subscriber, deployment)),
        *(names_of(deployment).senders[sender.name].role.arn for sender in deployment.senders),
    ):
        # The very policies of a role that is let in from elsewhere, under another name; and the very name, in another
        # account.
        home, name, copy = crossing.split(":")[4], crossing.rsplit("/", 1)[1], f"{crossing}-2"
        yield Caller(
            f"copy of {name} in {home}",
            copy,
            home,
            found.roles[crossing].policies,
            intent.jobs[crossing],
            signed(copy, home, deployment.organization),
        )
        for account, whose in ((STRANGER, "a stranger's"), (NEIGHBOUR, "a neighbour's")):
            words = f"namesake of {name} in {whose} account"
            yield person(deployment.organization, account, crossing.replace(home, account), words)
    for subscriber in deployment.subscribers:
        if subscriber.kind == "https":
            for process in subscriber.reader_principals:
                yield person(deployment.organization, subscriber.account, process, f"role {process.rsplit('/', 1)[1]}")
    for account, whose in ((STRANGER, "a stranger's"), (NEIGHBOUR, "a neighbour's")):
        yield person(
            deployment.organization, account, _administrator(deployment, account), f"administrator of {whose} account"
        )
    yield Caller("anybody, unsigned", None, None, (), ())
    yield from _services(deployment, found)


def _administrator(deployment: Deployment, account: str) -> str:
    return f"arn:{partition(deployment.publisher.region)}:iam::{account}:role/Admin"


def _services(deployment: Deployment, found: Inventory) -> Iterator[Caller]:
    region, home = deployment.publisher.region, deployment.publisher.account
    topic = names_of(deployment).publisher.topic.arn
    sns = {
        names_of(deployment).publisher.sns_principal(each)
        for each in (region, *(subscriber.region for subscriber in deployment.subscribers))
    }
    sources = {
        "our topic": topic,
        "another topic of the publisher": f"{topic}-other",
        "a stranger's topic of that name": topic.replace(home, STRANGER),
        "the topic of another Region": topic.replace(region, "eu-central-1"),
    }
    for principal in sorted(sns):
        for words, source in sources.items():
            yield _service(principal, words, source)
    rules = [thing.arn for thing in found.other_resources.values() if thing.kind == "rule"]
    for rule in rules:
        yield _service("events.amazonaws.com", f"the rule {rule.rsplit('/', 1)[1]}", rule)
        yield _service("events.amazonaws.com", "another rule of the publisher", f"{rule}-other")
        yield _service("events.amazonaws.com", "a stranger's rule of that name", rule.replace(home, STRANGER))
    # The right service for the wrong source's kind, and services that have no business here.
    yield _service("events.amazonaws.com", "our topic", topic)
    yield _service("s3.amazonaws.com", "the payload bucket", names_of(deployment).publisher.payload_bucket.bucket.arn)
    yield _service("cloudwatch.amazonaws.com", "an alarm", arn("cloudwatch", region, home, "alarm:any"))
    for stack, where in sorted(found.regions.items()):
        account = found.accounts[stack]
        for words, source in {
            f"an alarm of {stack}": arn("cloudwatch", where, account, f"alarm:{stack}-any"),
            f"an alarm of {stack} of another Region": arn("cloudwatch", "eu-central-1", account, f"alarm:{stack}-any"),
            f"a stranger's alarm of {stack}": arn("cloudwatch", where, STRANGER, f"alarm:{stack}-any"),
        }.items():
            yield _service("cloudwatch.amazonaws.com", words, source)
    accounts = sorted({home, *(subscriber.account for subscriber in deployment.subscribers), STRANGER})
    for principal in ("lambda", "states", "ecs-tasks", "ec2", "sagemaker", "s3"):
        for account in accounts:
            yield Caller(
                f"{principal} for {account}",
                f"{principal}.amazonaws.com",
                None,
                (),
                (),
                (("aws:SourceAccount", account),),
            )


def _service(principal: str, words: str, source: str) -> Caller:
    context = [("aws:SourceArn", source)]
    if account := source.split(":")[4]:
        context.append(("aws:SourceAccount", account))
    return Caller(f"{principal} for {words}", principal, None, (), (), tuple(context))


# Targets -------------------------------------------------------------------------------------------------------------

_S3_BUCKET = ("ListBucket", "ListBucketVersions", "GetBucketPolicy", "PutBucketPolicy", "DeleteBucket")
_S3_OBJECT = (
    *("GetObject", "GetObjectVersion", "GetObjectAcl", "PutObject", "PutObjectAcl", "DeleteObject"),
    *("DeleteObjectVersion", "AbortMultipartUpload"),
)
_REPLICATION = ("s3:GetObjectVersionForReplication", "s3:ReplicateObject", "s3:ReplicateDelete")
_ACTIONS: dict[str, tuple[str, ...]] = {
    "bucket": tuple(f"s3:{each}" for each in _S3_BUCKET),
    "object": tuple(f"s3:{each}" for each in _S3_OBJECT),
    "key": tuple(
        f"kms:{each}"
        for each in (
            *("Decrypt", "Encrypt", "GenerateDataKey", "DescribeKey", "CreateGrant"),
            *("PutKeyPolicy", "ScheduleKeyDeletion", "DisableKey"),
        )
    ),
    "topic": tuple(
        f"sns:{each}"
        for each in (
            *("Publish", "Subscribe", "AddPermission", "RemovePermission", "SetTopicAttributes"),
            *("GetTopicAttributes", "ListSubscriptionsByTopic", "DeleteTopic"),
        )
    ),
    "queue": tuple(
        f"sqs:{each}"
        for each in (
            *("SendMessage", "ReceiveMessage", "DeleteMessage", "PurgeQueue", "SetQueueAttributes"),
            *("GetQueueAttributes", "AddPermission", "DeleteQueue"),
        )
    ),
    "function": tuple(
        f"lambda:{each}" for each in ("InvokeFunction", "UpdateFunctionCode", "AddPermission", "GetFunction")
    ),
    "bus": ("events:PutEvents", "events:DeleteEventBus"),
    "role": ("sts:AssumeRole",),
    "role's settings": ("iam:PassRole", "iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy"),
    "state machine": ("states:StartExecution", "states:UpdateStateMachine"),
    "task definition": ("ecs:RunTask",),
    "table": ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteTable"),
    "log group": ("logs:CreateLogStream", "logs:DeleteLogGroup"),
}
_KEYS = {
    "payload bucket": ("payloads/one", "outbox/one", "outbox/somebody-else/one", "payloads-private/one", "one"),
    "inbox": ("inline/one", "other/one"),
    "landing bucket": ("landed/one", "other/one"),
}


def _targets(deployment: Deployment, found: Inventory, intent: Intent) -> Iterator[Target]:
    replicas = deployment.publisher.replicas
    of_payloads = {payload_bucket(deployment, region).bucket.arn for region in (None, *replicas)}
    of_objects = _ACTIONS["object"] + (_REPLICATION if replicas else ())
    in_research = f"{deployment.name}-research/"
    for each in found.resource_policies.values():
        if each.where.startswith(in_research) or each.kind not in _ACTIONS:
            continue
        blocked = set(each.properties.get("PublicAccessBlockConfiguration", {}).values()) == {True}
        target = Target(each.kind, each.arn, each.account, intent.guards[each.arn], each.policy, block_public=blocked)
        yield replace(target, actions=_ACTIONS[each.kind])
        if each.kind == "bucket":
            which = _which_bucket(each.arn, of_payloads)
            folders = [f"outbox/{sender.name}/one" for sender in deployment.senders] if "payload" in which else []
            for key in (*_KEYS[which], *folders):
                yield replace(target, arn=f"{each.arn}/{key}", actions=of_objects)
        if each.kind == "role":
            yield Target("role's settings", each.arn, each.account, None, None, actions=_ACTIONS["role's settings"])
    for thing in found.other_resources.values():
        if thing.kind in _ACTIONS and not thing.where.startswith(in_research):
            yield Target(thing.kind, thing.arn, thing.account, None, None, actions=_ACTIONS[thing.kind])
    yield from _bystanders(deployment)


def _which_bucket(bucket: str, of_payloads: Container[str]) -> str:
    if bucket in of_payloads:
        return "payload bucket"
    return "landing bucket" if "-landing-" in bucket else "inbox"


def _bystanders(deployment: Deployment) -> Iterator[Target]:
    """What is not ours, in the publisher's account: what is let at the deployment's own is not let at these."""
    home, region = deployment.publisher.account, deployment.publisher.region
    key = payload_bucket(deployment).key_arn_pattern.replace("*", "of-others")
    default = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": Place(home, region).account_arn},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    guard = Guard("key", key, home, (Door("left to the account", Account(home), ("kms:*",), (key,)),))
    yield Target("key", key, home, guard, default, actions=_ACTIONS["key"])
    for kind, other in (
        ("object", f"{names_of(deployment).publisher.payload_bucket.bucket.arn}-of-others/payloads/one"),
        ("topic", f"{names_of(deployment).publisher.topic.arn}-of-others"),
    ):
        yield Target(kind, other, home, Guard(kind, other, home), None, actions=_ACTIONS[kind])
