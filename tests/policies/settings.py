"""What decides beside policies: settings that no policy engine sees, and wires that lead out of the deployment.

A bucket's block of public access, the role a function runs as, where a rule sends what it matches. Same rule as for
policies: what is not said to be right is wrong.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from access.assembly import StackTemplate
from access.inventory import Inventory, Statement
from access.template import Resources
from stacks.deployment import Deployment, SqsSubscriberConfig, SubscriberConfig
from stacks.deployment.names import PAYLOADS
from tests.policies.intent import endpoint, readers
from tests.policies.terms import (
    Account,
    Everybody,
    Guard,
    Intent,
    Named,
    Roles,
    Service,
    arn,
    names_of,
    payload_bucket,
    subscriber_names,
)

Properties = dict[str, Any]


def wrong_in_messaging(deployment: Deployment, stack: StackTemplate, found: Inventory) -> Iterator[tuple[str, str]]:
    """Each setting that is not as it must be: where it is, and what is wrong."""
    return _Settings(deployment, stack, found).wrong()


def idle_principals(found: Inventory, meant: Intent) -> list[str]:
    """Principals of an Allow statement for whom no door is meant, even where a condition shuts them out again: then one
    condition is all that does. Everybody is always one of them."""
    return [
        f"{guarded.where}: lets in {principal}, for whom no door is meant"
        for guarded in found.resource_policies.values()
        for statement in guarded.policy["Statement"]
        if statement["Effect"] == "Allow"
        for principal in _principals(statement)
        if principal not in _admitted(meant.guards[guarded.arn])
    ]


def _principals(statement: Statement) -> Iterator[str]:
    named = statement.get("Principal", "NotPrincipal")
    for values in named.values() if isinstance(named, dict) else [named]:
        for value in values if isinstance(values, list) else [values]:
            yield re.sub(r"arn:[a-z-]+:iam::([0-9]{12}):root", r"\1", value)


def _admitted(guard: Guard) -> Iterator[str]:
    for door in guard.doors:
        match door.who:
            case Account(account) | Roles(account, _):
                yield account
            case Named(name) | Service(name):
                yield name
            case Everybody():
                yield "*"


def open_bucket(bucket: Properties) -> Iterator[str]:
    """Ways for others into a bucket that are no policy."""
    block = bucket.get("PublicAccessBlockConfiguration", {})
    for setting in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
        if block.get(setting) is not True:
            yield f"{setting} is not on"
    if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
        yield "access control lists are not switched off"
    for way_out in ("AccessControl", "WebsiteConfiguration", "InventoryConfigurations"):
        if way_out in bucket:
            yield f"{way_out} hands objects to others"


def loose_registry(repository: Properties) -> Iterator[str]:
    """What lets an image be another than was meant."""
    if repository.get("ImageTagMutability") != "IMMUTABLE":
        yield "a tag can be pushed again, and mean another image"
    if repository.get("ImageScanningConfiguration") != {"ScanOnPush": True}:
        yield "images are not scanned"


def weak_key(key: Properties) -> Iterator[str]:
    """What makes a key less of one."""
    if key.get("EnableKeyRotation") is not True:
        yield "the key does not rotate"
    if key.get("MultiRegion"):
        yield "the key can be replicated to another Region"
    if key.get("BypassPolicyLockoutSafetyCheck"):
        yield "the key may be locked"


# Who wears the role beside it: the property that names the role, and the construct that it has to be.
BESIDE: dict[str, tuple[str, Callable[[str], str]]] = {
    "AWS::CodeBuild::Project": ("ServiceRole", lambda logical: f"{logical.removesuffix('Project')}Role"),
    "AWS::Lambda::Function": ("Role", lambda logical: f"{logical.removesuffix('Handler')}(Service)?Role"),
    "AWS::StepFunctions::StateMachine": ("RoleArn", lambda logical: f"{logical}Role"),
}


def wears_another(found: Inventory, stack: str, role_arn: str, construct: str) -> Iterator[str]:
    """Unless the role is that construct's, a pattern for the path in the stack."""
    role = found.roles.get(role_arn)
    if role is None or not re.fullmatch(rf"{stack}/{construct}[0-9A-F]{{8}}", role.where):
        yield f"runs as {role.name if role else role_arn}, not as {construct}"


def _nothing(_: Properties) -> Iterator[str]:
    yield from ()


class _Settings:
    def __init__(self, deployment: Deployment, stack: StackTemplate, found: Inventory) -> None:
        self._deployment = deployment
        self._stack = stack
        self._found = found
        self._resources = Resources(stack)
        self._checks: dict[str, Callable[[Properties], Iterator[str]]] = {
            "AWS::S3::Bucket": self._bucket,
            "AWS::KMS::Key": weak_key,
            "AWS::SNS::Topic": self._topic,
            "AWS::SNS::Subscription": self._subscription,
            "AWS::SQS::Queue": self._queue,
            "AWS::Events::Rule": self._rule,
            "AWS::Events::Archive": self._archive,
            "AWS::Lambda::Function": self._function,
            "AWS::Lambda::EventSourceMapping": self._mapping,
            "AWS::Lambda::EventInvokeConfig": self._invoke_config,
            "AWS::ECR::Repository": loose_registry,
            "AWS::ECS::TaskDefinition": self._task_definition,
            "AWS::StepFunctions::StateMachine": self._state_machine,
            "AWS::EC2::SecurityGroup": self._security_group,
        }

    def wrong(self) -> Iterator[tuple[str, str]]:
        for logical, resource in self._stack.template["Resources"].items():
            kind, properties = resource["Type"], resource.get("Properties", {})
            # What builds an image is made of CDK's constructs, which name nothing: told by where they are.
            if logical.startswith("TaskImage") and kind in BESIDE:
                problems = self._wears(logical, *BESIDE[kind], properties)
            else:
                problems = self._checks.get(kind, _nothing)(properties)
            for problem in problems:
                yield f"{self._stack.name}/{logical}", problem

    def _wears(self, logical: str, where: str, construct: Callable[[str], str], given: Properties) -> Iterator[str]:
        role = self._resources.resolve(given[where], "role")
        beside = construct(re.sub(r"[0-9A-F]{8}$", "", logical))
        yield from wears_another(self._found, self._stack.name, str(role), beside)

    def _bucket(self, bucket: Properties) -> Iterator[str]:
        yield from open_bucket(bucket)
        yield from self._replication(bucket)
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        how = self._resources.resolve(rule["ServerSideEncryptionByDefault"], "bucket")
        if bucket["BucketName"] == payload_bucket(self._deployment, self._stack.region).bucket.name:
            key = self._found.arn_of(self._stack.name, "Key")
            if how != {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} or rule.get("BucketKeyEnabled") is not True:
                yield f"payloads are not encrypted with the deployment's key and a bucket key: {how}"
        if "-landing-" in bucket["BucketName"]:
            key = self._found.arn_of(self._stack.name, "LandingKey")
            if how != {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} or rule.get("BucketKeyEnabled") is not True:
                yield f"landed payloads are not encrypted with the subscriber's key and a bucket key: {how}"

    def _replication(self, bucket: Properties) -> Iterator[str]:
        """To the replicas of the deployment file, under their keys, payloads alone; and from nowhere else."""
        said = self._resources.resolve(bucket.get("ReplicationConfiguration", {"Rules": []}), "bucket")
        is_payloads = bucket["BucketName"] == names_of(self._deployment).publisher.payload_bucket.bucket.name
        expected = {
            payload_bucket(self._deployment, region).bucket.arn: names_of(self._deployment)
            .publisher.replicas[region]
            .key_alias.arn
            for region in (self._deployment.publisher.replicas if is_payloads else ())
        }
        for rule in said["Rules"]:
            target = rule["Destination"]
            if target["Bucket"] not in expected or set(target) - {"Bucket", "EncryptionConfiguration", "Metrics"}:
                yield f"replicates to {target}"
                continue
            if target["EncryptionConfiguration"]["ReplicaKmsKeyID"] != expected.pop(target["Bucket"]):
                yield f"replicates under {target['EncryptionConfiguration']}"
            if rule["Filter"] != {"Prefix": PAYLOADS} or rule["Status"] != "Enabled":
                yield f"replicates {rule['Filter']}, {rule['Status']}"
        for missing in expected:
            yield f"does not replicate to {missing}"
        if self._deployment.publisher.replicas and is_payloads:
            role = self._found.arn_of(names_of(self._deployment).publisher.stack, "ReplicationRole")
            if said.get("Role") != role:
                yield f"replicates as {said.get('Role')}"

    def _topic(self, topic: Properties) -> Iterator[str]:
        ours = topic["TopicName"] == names_of(self._deployment).publisher.topic.name
        key = self._found.arn_of(self._stack.name, "Key" if ours else "AlarmsKey")
        if self._resources.resolve(topic.get("KmsMasterKeyId"), "topic") != key:
            yield "messages are not encrypted with the deployment's key"
        if "Subscription" in topic:
            yield "a subscription that no subscriber's stack made"

    def _subscription(self, subscription: Properties) -> Iterator[str]:
        said = self._resources.resolve(subscription, "subscription")
        operations = arn("sns", self._stack.region, self._stack.account, f"{self._stack.name}-operations")
        if said["TopicArn"] == operations:
            if said["Protocol"] != "email" or said["Endpoint"] not in self._deployment.operations.emails:
                yield f"alarms are told to {said['Endpoint']}"
            return
        redrive = {
            endpoint(self._deployment, each): subscriber_names(self._deployment, each).undelivered_queue.arn
            for each in self._deployment.subscribers
            if subscriber_names(self._deployment, each).stack == self._stack.name
        }
        if said["TopicArn"] != names_of(self._deployment).publisher.topic.arn:
            yield f"subscribed to {said['TopicArn']}"
        if said["Endpoint"] not in redrive:
            yield f"subscribes {said['Endpoint']}, which is not the subscriber's"
        elif said.get("RedrivePolicy") != {"deadLetterTargetArn": redrive[said["Endpoint"]]}:
            yield f"what cannot be delivered goes to {said.get('RedrivePolicy')}"
        if said["Protocol"] == "https" and said.get("RawMessageDelivery"):
            yield "posts what is not signed"
        if "SubscriptionRoleArn" in said:
            yield "delivers with a role"

    def _queue(self, queue: Properties) -> Iterator[str]:
        if queue.get("SqsManagedSseEnabled") is not True:
            yield "messages are not encrypted"
        if "RedrivePolicy" in queue:
            yield from self._ours(queue["RedrivePolicy"]["deadLetterTargetArn"], "dead letters go to")
        if "RedriveAllowPolicy" in queue:
            yield "lets other queues leave their dead letters here"

    def _rule(self, rule: Properties) -> Iterator[str]:
        function = arn(
            "lambda",
            self._stack.region,
            self._stack.account,
            f"function:{names_of(self._deployment).publisher.publish_function.name}",
        )
        if rule["EventPattern"].get("source") in (["aws.states"], ["aws.sagemaker"]):
            yield from self._forward(rule)
            return
        if rule["EventPattern"].get("source") == [self._deployment.name]:
            yield from self._processed(rule)
            return
        if rule["EventPattern"].get("source") == ["aws.ecs"]:
            for target in rule["Targets"]:
                yield from self._ours(target["Arn"], "keeps failed tasks in")
            if "EventBusName" in rule or "RoleArn" in rule or any("RoleArn" in target for target in rule["Targets"]):
                yield "takes events from another bus than AWS's own, or acts with a role"
            return
        for target in rule["Targets"]:
            if self._resources.resolve(target["Arn"], "rule") != function:
                yield f"sends what it matches to {target['Arn']}"
            yield from self._ours(target["DeadLetterConfig"]["Arn"], "sends what it could not deliver to")
        pattern = rule["EventPattern"]
        if "RoleArn" in rule or any("RoleArn" in target for target in rule["Targets"]):
            yield "acts with a role"
        if "EventBusName" in rule:
            # A sender's event must never be taken for one of S3: that one is believed to name an upload.
            wanted: Properties = {"source": [{"anything-but": {"prefix": "aws."}}]}
            if self._deployment.publisher.detail_types:
                wanted["detail-type"] = list(self._deployment.publisher.detail_types)
            if pattern != wanted:
                yield f"takes other events than it should from a bus that others write to: {pattern}"
        elif pattern.get("source") != ["aws.s3"]:
            yield f"takes events from {pattern.get('source')}"

    def _processed(self, rule: Properties) -> Iterator[str]:
        """What the subscriber's own bus says was processed becomes a data set."""
        subscriber = self._subscriber()
        assert isinstance(subscriber, SqsSubscriberConfig)
        intake = subscriber_names(self._deployment, subscriber).pipeline_trigger_function.name
        function = arn("lambda", self._stack.region, self._stack.account, f"function:{intake}")
        bus = subscriber_names(self._deployment, subscriber).event_bus.arn.rpartition("/")[2]
        if self._resources.resolve(rule.get("EventBusName"), "rule") != bus:
            yield f"takes events from {rule.get('EventBusName')}"
        for target in rule["Targets"]:
            if self._resources.resolve(target["Arn"], "rule") != function or "RoleArn" in target:
                yield f"sends what it matches to {target['Arn']}"
            yield from self._ours(target["DeadLetterConfig"]["Arn"], "sends what it could not deliver to")

    def _forward(self, rule: Properties) -> Iterator[str]:
        """What Step Functions says of the subscriber's executions goes to the subscriber's own bus."""
        subscriber = self._subscriber()
        bus = (
            subscriber_names(self._deployment, subscriber).event_bus.arn
            if isinstance(subscriber, SqsSubscriberConfig)
            else None
        )
        for target in rule["Targets"]:
            if self._resources.resolve(target["Arn"], "rule") != bus:
                yield f"forwards to {target['Arn']}"
            role = self._resources.resolve(target["RoleArn"], "rule")
            if role != self._found.arn_of(self._stack.name, "EventBusForwardRole"):
                yield f"forwards as {role}"
        if "EventBusName" in rule or "RoleArn" in rule:
            yield "takes events from another bus than AWS's own, or acts with a role"

    def _archive(self, archive: Properties) -> Iterator[str]:
        types = list(self._deployment.publisher.detail_types)
        others = [{"anything-but": types}] if types else [{"exists": False}]
        if archive["EventPattern"] != {"source": [{"anything-but": {"prefix": "aws."}}], "detail-type": others}:
            yield f"keeps other events than those that no rule takes: {archive['EventPattern']}"
        if (
            self._resources.resolve(archive["SourceArn"], "archive")
            != names_of(self._deployment).publisher.event_bus.arn
        ):
            yield f"keeps events of {archive['SourceArn']}"

    def _function(self, function: Properties) -> Iterator[str]:
        role = self._resources.resolve(function["Role"], "function")
        expected = self._role_of(function.get("FunctionName"))
        if expected and role != expected:
            yield f"runs as {role}, not as {expected}"

    def _role_of(self, function: str | None) -> str | None:
        if function == names_of(self._deployment).publisher.publish_function.name:
            return self._found.arn_of(names_of(self._deployment).publisher.stack, "PublishRole")
        subscriber = self._subscriber()
        if subscriber is None or function is None:
            return None
        readers_of = readers(subscriber, self._deployment)
        if (
            isinstance(subscriber, SqsSubscriberConfig)
            and function == subscriber_names(self._deployment, subscriber).pipeline_trigger_function.name
        ):
            return readers_of[-1]
        lands = (
            isinstance(subscriber, SqsSubscriberConfig)
            and function == subscriber_names(self._deployment, subscriber).copy_function.name
        )
        return readers_of[1 if lands else 0]

    def _mapping(self, mapping: Properties) -> Iterator[str]:
        yield from self._ours(mapping["EventSourceArn"], "takes messages from")

    def _invoke_config(self, config: Properties) -> Iterator[str]:
        for destination in config["DestinationConfig"].values():
            yield from self._ours(destination["Destination"], "sends what failed to")

    def _task_definition(self, task: Properties) -> Iterator[str]:
        subscriber = self._subscriber()
        assert subscriber
        reader = readers(subscriber, self._deployment)[1]
        if self._resources.resolve(task["TaskRoleArn"], "task definition") != reader:
            yield f"its application runs as {task['TaskRoleArn']}"
        execution_role = self._found.arn_of(self._stack.name, "TaskExecutionRole")
        if self._resources.resolve(task["ExecutionRoleArn"], "task definition") != execution_role:
            yield f"is started by {task['ExecutionRoleArn']}"
        for container in task["ContainerDefinitions"]:
            if container.get("Privileged") or "Secrets" in container:
                yield f"{container['Name']} is privileged or reads secrets"
            if "@" not in str(container["Image"]):
                yield f"runs an image that is not named by digest: {container['Image']}"

    def _state_machine(self, machine: Properties) -> Iterator[str]:
        role = self._resources.resolve(machine["RoleArn"], "state machine")
        if role != self._found.arn_of(self._stack.name, "StateMachineRole"):
            yield f"runs as {role}"

    def _security_group(self, group: Properties) -> Iterator[str]:
        if group.get("SecurityGroupIngress"):
            yield "lets something in"

    def _ours(self, where: object, what: str) -> Iterator[str]:
        """The ARN has to be one of this stack's own queues."""
        resolved = self._resources.resolve(where, "target")
        guarded = self._found.resource_policies.get(resolved)
        if guarded is None or guarded.kind != "queue" or not guarded.where.startswith(f"{self._stack.name}/"):
            yield f"{what} {resolved}"

    def _subscriber(self) -> SubscriberConfig | None:
        for each in self._deployment.subscribers:
            if self._stack.name == subscriber_names(self._deployment, each).stack:
                return each
        return None
