"""Settings that give access and that no policy engine evaluates.

Examples are a bucket's public access block, a function's role, and a rule's target. Each must have the intended value.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from access.assembly import StackTemplate
from access.inventory import Inventory, Statement
from access.template import Resources
from stacks.deployment import Deployment, SubscriberConfig, SubscriberNames
from stacks.deployment.names import PAYLOADS
from tests.policies.intent import readers
from tests.policies.terms import (
    Account,
    AnyPrincipal,
    Intent,
    NamedRole,
    ResourceIntent,
    Roles,
    Service,
    arn,
    names_of,
    subscriber_names,
)

Properties = dict[str, Any]


def messaging_problems(deployment: Deployment, stack: StackTemplate, inventory: Inventory) -> Iterator[tuple[str, str]]:
    """Yield the wrong settings of a stack: a place and a description each."""
    return _Settings(deployment, stack, inventory).problems()


def unintended_principals(inventory: Inventory, intent: Intent) -> list[str]:
    """Return the principals of Allow statements that the intent does not name for the resource.

    A condition may deny their requests. Then the condition would be the only protection.
    """
    return [
        f"{resource.where}: allows {principal}, a principal that is not in the intent"
        for resource in inventory.resource_policies.values()
        for statement in resource.policy["Statement"]
        if statement["Effect"] == "Allow"
        for principal in _principals(statement)
        if principal not in _intended_principals(intent.resource_policies[resource.arn])
    ]


def _principals(statement: Statement) -> Iterator[str]:
    principals = statement.get("Principal", "NotPrincipal")
    for values in principals.values() if isinstance(principals, dict) else [principals]:
        for value in values if isinstance(values, list) else [values]:
            yield re.sub(r"arn:[a-z-]+:iam::([0-9]{12}):root", r"\1", value)


def _intended_principals(intent: ResourceIntent) -> Iterator[str]:
    for grant in intent.grants:
        match grant.principal:
            case Account(account) | Roles(account, _):
                yield account
            case NamedRole(name) | Service(name):
                yield name
            case AnyPrincipal():
                yield "*"


def bucket_problems(bucket: Properties) -> Iterator[str]:
    """Yield the settings by which other accounts could get a bucket's objects without a policy."""
    block = bucket.get("PublicAccessBlockConfiguration", {})
    for setting in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
        if block.get(setting) is not True:
            yield f"{setting} is not on"
    if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
        yield "access control lists are not off"
    for setting in ("AccessControl", "WebsiteConfiguration", "InventoryConfigurations"):
        if setting in bucket:
            yield f"{setting} gives access to objects"


def is_encrypted_with(key: str, bucket: Properties, resources: Resources) -> bool:
    """Return whether a bucket is encrypted with a KMS key and a bucket key."""
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    encryption = resources.resolve(rule["ServerSideEncryptionByDefault"], "bucket")
    return encryption == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} and rule.get("BucketKeyEnabled") is True


def repository_problems(repository: Properties) -> Iterator[str]:
    if repository.get("ImageTagMutability") != "IMMUTABLE":
        yield "tags are mutable"
    if repository.get("ImageScanningConfiguration") != {"ScanOnPush": True}:
        yield "images are not scanned"


def key_problems(key: Properties) -> Iterator[str]:
    if key.get("EnableKeyRotation") is not True:
        yield "the key is not rotated"
    if key.get("MultiRegion"):
        yield "the key can be replicated to another Region"
    if key.get("BypassPolicyLockoutSafetyCheck"):
        yield "the key's policy may lock its account out"


# The property that names a construct's role, and the role's construct.
ROLE_PROPERTIES: dict[str, tuple[str, Callable[[str], str]]] = {
    "AWS::CodeBuild::Project": ("ServiceRole", lambda logical: f"{logical.removesuffix('Project')}Role"),
    "AWS::Lambda::Function": ("Role", lambda logical: f"{logical.removesuffix('Handler')}(Service)?Role"),
    "AWS::StepFunctions::StateMachine": ("RoleArn", lambda logical: f"{logical}Role"),
}


def role_problems(inventory: Inventory, stack: str, role_arn: str, construct: str) -> Iterator[str]:
    """Yield a problem unless the role is that of a construct. `construct` is a pattern for its path in the stack."""
    role = inventory.roles.get(role_arn)
    if role is None or not re.fullmatch(rf"{stack}/{construct}[0-9A-F]{{8}}", role.where):
        yield f"has the role {role.name if role else role_arn}, not {construct}"


def security_group_problems(group: Properties) -> Iterator[str]:
    if group.get("SecurityGroupIngress"):
        yield "the security group allows ingress"


_SOURCES = [{"anything-but": {"prefix": "aws."}}, {"prefix": "aws.partner/"}]


class _Settings:
    def __init__(self, deployment: Deployment, stack: StackTemplate, inventory: Inventory) -> None:
        self._deployment, self._stack, self._inventory = deployment, stack, inventory
        self._publisher = names_of(deployment).publisher
        self._resources = Resources(stack)
        self._checks: dict[str, Callable[[Properties], Iterator[str]]] = {
            "AWS::S3::Bucket": self._bucket,
            "AWS::KMS::Key": key_problems,
            "AWS::SNS::Topic": self._topic,
            "AWS::SNS::Subscription": self._subscription,
            "AWS::SQS::Queue": self._queue,
            "AWS::Events::Rule": self._rule,
            "AWS::Events::Archive": self._archive,
            "AWS::Lambda::Function": self._function,
            "AWS::Lambda::EventSourceMapping": self._event_source_mapping,
            "AWS::Lambda::EventInvokeConfig": self._event_invoke_config,
            "AWS::ECR::Repository": repository_problems,
            "AWS::ECS::TaskDefinition": self._task_definition,
            "AWS::StepFunctions::StateMachine": self._state_machine,
            "AWS::EC2::SecurityGroup": security_group_problems,
        }

    def problems(self) -> Iterator[tuple[str, str]]:
        for logical, resource in self._stack.template["Resources"].items():
            kind, properties = resource["Type"], resource.get("Properties", {})
            # CDK's provider and the image build have generated names.
            if logical.startswith("TaskImage") and kind in ROLE_PROPERTIES:
                problems = self._generated(logical, *ROLE_PROPERTIES[kind], properties)
            else:
                check = self._checks.get(kind)
                problems = check(properties) if check else iter(())
            for problem in problems:
                yield f"{self._stack.name}/{logical}", problem

    def _generated(
        self, logical: str, name: str, construct: Callable[[str], str], properties: Properties
    ) -> Iterator[str]:
        role = self._resolve(properties[name])
        expected = construct(re.sub(r"[0-9A-F]{8}$", "", logical))
        yield from role_problems(self._inventory, self._stack.name, str(role), expected)

    def _bucket(self, bucket: Properties) -> Iterator[str]:
        yield from bucket_problems(bucket)
        yield from self._replication(bucket)
        payload_buckets = {names.bucket.name for names in (self._publisher.payload_bucket, *self._replicas)}
        for construct, encrypted in (
            ("Key", bucket["BucketName"] in payload_buckets),
            ("LandingKey", "-landing-" in bucket["BucketName"]),
        ):
            if encrypted and not is_encrypted_with(self._named(construct), bucket, self._resources):
                yield f"payloads are not encrypted with {construct} and a bucket key"

    def _replication(self, bucket: Properties) -> Iterator[str]:
        """Check that the payload bucket, and no other, replicates payloads to the replicas, with their keys."""
        replication = self._resolve(bucket.get("ReplicationConfiguration", {"Rules": []}))
        replicas = self._replicas if bucket["BucketName"] == self._publisher.payload_bucket.bucket.name else ()
        keys = {replica.bucket.arn: replica.key_alias.arn for replica in replicas}
        for rule in replication["Rules"]:
            target = rule["Destination"]
            if target["Bucket"] not in keys or set(target) - {"Bucket", "EncryptionConfiguration", "Metrics"}:
                yield f"replicates to {target}"
                continue
            if target["EncryptionConfiguration"]["ReplicaKmsKeyID"] != keys.pop(target["Bucket"]):
                yield f"replicates with the key {target['EncryptionConfiguration']}"
            if rule["Filter"] != {"Prefix": PAYLOADS} or rule["Status"] != "Enabled":
                yield f"replicates {rule['Filter']}, {rule['Status']}"
        for missing in keys:
            yield f"does not replicate to {missing}"
        if replicas and replication.get("Role") != self._named("ReplicationRole"):
            yield f"replicates with the role {replication.get('Role')}"

    def _topic(self, topic: Properties) -> Iterator[str]:
        key = self._named("Key" if topic["TopicName"] == self._publisher.topic.name else "AlarmsKey")
        if self._resolve(topic.get("KmsMasterKeyId")) != key:
            yield "messages are not encrypted with the stack's key"
        if "Subscription" in topic:
            yield "the topic has a subscription of its own stack"

    def _subscription(self, subscription: Properties) -> Iterator[str]:
        properties = self._resolve(subscription)
        endpoint = properties["Endpoint"]
        if properties["TopicArn"] == self._arn("sns", f"{self._stack.name}-operations"):
            if properties["Protocol"] != "email" or endpoint not in self._deployment.operations.emails:
                yield f"alarms are sent to {endpoint}"
            return
        names = self._subscriber_names
        if properties["TopicArn"] != self._publisher.topic.arn:
            yield f"subscribes to {properties['TopicArn']}"
        if names is None or endpoint != names.endpoint:
            yield f"subscribes {endpoint}, which is not the subscriber's endpoint"
        elif properties.get("RedrivePolicy") != {"deadLetterTargetArn": names.undelivered_queue.arn}:
            yield f"undelivered messages go to {properties.get('RedrivePolicy')}"
        if properties["Protocol"] == "https" and properties.get("RawMessageDelivery"):
            yield "posts are not signed"
        if "SubscriptionRoleArn" in properties:
            yield "SNS delivers with a role"

    def _queue(self, queue: Properties) -> Iterator[str]:
        if queue.get("SqsManagedSseEnabled") is not True:
            yield "messages are not encrypted"
        if "RedrivePolicy" in queue:
            yield from self._own_queue(queue["RedrivePolicy"]["deadLetterTargetArn"], "sends dead letters to")
        if "RedriveAllowPolicy" in queue:
            yield "other queues may use it as their dead-letter queue"

    def _rule(self, rule: Properties) -> Iterator[str]:
        source = rule["EventPattern"].get("source")
        if source in (["aws.states"], ["aws.sagemaker"]):
            yield from self._forwarding_rule(rule)
        elif source == [self._deployment.name]:
            yield from self._processed_rule(rule)
        elif source == ["aws.ecs"]:
            for target in rule["Targets"]:
                yield from self._own_queue(target["Arn"], "sends failed tasks to")
            if "EventBusName" in rule or _has_role(rule):
                yield "matches events of another bus than the default one, or has a role"
        else:
            yield from self._publishing_rule(rule)

    def _publishing_rule(self, rule: Properties) -> Iterator[str]:
        yield from self._targets(rule, self._publisher.publish_function.arn)
        pattern = rule["EventPattern"]
        if "EventBusName" in rule:
            # An event of a sender must not pass for an event of S3, which names an upload.
            expected: Properties = {"source": _SOURCES}
            if self._deployment.publisher.detail_types:
                expected["detail-type"] = list(self._deployment.publisher.detail_types)
            if pattern != expected:
                yield f"matches other events of the senders' bus: {pattern}"
        elif pattern.get("source") != ["aws.s3"]:
            yield f"matches events of {pattern.get('source')}"

    def _processed_rule(self, rule: Properties) -> Iterator[str]:
        """Check the rule that starts a pipeline for each processed payload."""
        names = self._subscriber_names
        assert names
        if self._resolve(rule.get("EventBusName")) != names.event_bus.name:
            yield f"matches events of {rule.get('EventBusName')}"
        yield from self._targets(rule, names.pipeline_trigger_function.arn)

    def _targets(self, rule: Properties, function: str) -> Iterator[str]:
        """Check that a rule invokes a function, without a role, and sends other events to a queue of the stack."""
        for target in rule["Targets"]:
            if self._resolve(target["Arn"]) != function:
                yield f"sends events to {target['Arn']}"
            yield from self._own_queue(target["DeadLetterConfig"]["Arn"], "sends lost events to")
        if _has_role(rule):
            yield "has a role"

    def _forwarding_rule(self, rule: Properties) -> Iterator[str]:
        """Check the rule that forwards the events of failed executions to the subscriber's bus."""
        bus = self._subscriber_names.event_bus.arn if self._subscriber_names else None
        for target in rule["Targets"]:
            if self._resolve(target["Arn"]) != bus:
                yield f"forwards to {target['Arn']}"
            role = self._resolve(target["RoleArn"])
            if role != self._named("EventBusForwardRole"):
                yield f"forwards with the role {role}"
        if "EventBusName" in rule or "RoleArn" in rule:
            yield "matches events of another bus than the default one, or has a role"

    def _archive(self, archive: Properties) -> Iterator[str]:
        types = list(self._deployment.publisher.detail_types)
        others = [{"anything-but": types}] if types else [{"exists": False}]
        if archive["EventPattern"] != {"source": _SOURCES, "detail-type": others}:
            yield f"archives other events than the unmatched ones: {archive['EventPattern']}"
        if self._resolve(archive["SourceArn"]) != self._publisher.event_bus.arn:
            yield f"archives events of {archive['SourceArn']}"

    def _function(self, function: Properties) -> Iterator[str]:
        role, expected = self._resolve(function["Role"]), self._role_of(function.get("FunctionName"))
        if expected and role != expected:
            yield f"has the role {role}, not {expected}"

    def _role_of(self, function: str | None) -> str | None:
        if function == self._publisher.publish_function.name:
            return self._named("PublishRole")
        names = self._subscriber_names
        if names is None or function is None:
            return None
        return {
            names.copy_function.name: names.copy_role.arn,
            names.pipeline_trigger_function.name: names.pipeline_trigger_role.arn,
        }.get(function, names.reader_role.arn)

    def _event_source_mapping(self, mapping: Properties) -> Iterator[str]:
        yield from self._own_queue(mapping["EventSourceArn"], "polls")

    def _event_invoke_config(self, config: Properties) -> Iterator[str]:
        for destination in config["DestinationConfig"].values():
            yield from self._own_queue(destination["Destination"], "sends failed events to")

    def _task_definition(self, task: Properties) -> Iterator[str]:
        subscriber = self._subscriber
        assert subscriber
        if self._resolve(task["TaskRoleArn"]) != readers(subscriber, self._deployment)[1]:
            yield f"has the task role {task['TaskRoleArn']}"
        if self._resolve(task["ExecutionRoleArn"]) != self._named("TaskExecutionRole"):
            yield f"has the execution role {task['ExecutionRoleArn']}"
        for container in task["ContainerDefinitions"]:
            if container.get("Privileged") or "Secrets" in container:
                yield f"{container['Name']} is privileged or has secrets"
            if "@" not in str(container["Image"]):
                yield f"the image has no digest: {container['Image']}"

    def _state_machine(self, machine: Properties) -> Iterator[str]:
        role = self._resolve(machine["RoleArn"])
        if role != self._named("StateMachineRole"):
            yield f"has the role {role}"

    def _own_queue(self, value: object, description: str) -> Iterator[str]:
        """Check that an ARN is that of a queue in this stack."""
        queue = self._resolve(value)
        resource = self._inventory.resource_policies.get(queue)
        if resource is None or resource.kind != "queue" or not resource.where.startswith(f"{self._stack.name}/"):
            yield f"{description} {queue}"

    def _resolve(self, value: object) -> Any:
        return self._resources.resolve(value, "settings")

    def _named(self, construct: str) -> str:
        return self._inventory.arn_of(self._stack.name, construct)

    def _arn(self, service: str, name: str) -> str:
        return arn(service, self._stack.region, self._stack.account, name)

    @property
    def _replicas(self) -> tuple[Any, ...]:
        return tuple(self._publisher.replicas.values())

    @property
    def _subscriber(self) -> SubscriberConfig | None:
        for subscriber in self._deployment.subscribers:
            if self._stack.name == subscriber_names(self._deployment, subscriber).stack:
                return subscriber
        return None

    @property
    def _subscriber_names(self) -> SubscriberNames | None:
        return subscriber_names(self._deployment, self._subscriber) if self._subscriber else None


def _has_role(rule: Properties) -> bool:
    return "RoleArn" in rule or any("RoleArn" in target for target in rule["Targets"])
