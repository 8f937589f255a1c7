"""Statement of intent: every permission of a deployment. All other requests must be denied.

It is written from the contract between accounts, not from the templates. The prover compares all requests with it
(`prover.py`), the access matrix single requests (`matrix.py`). `research_intent.py` has a research environment's part.
"""

import json
from collections.abc import Iterable, Iterator

from access.inventory import Inventory
from stacks.deployment import (
    Deployment,
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    PayloadBucketNames,
    ResearchDeployment,
    SenderConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)
from stacks.deployment.research import ResearchConfig
from stacks.deployment.state_machine import as_list, fill_placeholders
from tests.policies.research_intent import add_research, boundary_permissions
from tests.policies.terms import (
    ECR_LOGIN,
    ECR_PULL,
    KEY_UPLOAD,
    KEY_USE,
    LOG,
    LOG_DELIVERY,
    S3_DELETE,
    S3_READ,
    S3_UPLOAD,
    S3_WRITE,
    SQS_CONSUME,
    SQS_SEND,
    Account,
    AnyPrincipal,
    Conditions,
    Grant,
    Intent,
    Permission,
    ResourceIntent,
    Roles,
    Service,
    add_async_provider,
    add_auto_delete,
    add_build,
    add_function,
    arn,
    asset_bucket,
    auto_delete,
    key,
    log_group,
    names_of,
    payload_bucket,
    research_names,
    start_builds,
    subscriber_names,
    via_s3,
)

TOPIC_ACTIONS = tuple(
    f"sns:{action}"
    for action in (
        *("Publish", "Subscribe", "AddPermission", "RemovePermission"),
        *("GetTopicAttributes", "SetTopicAttributes", "DeleteTopic", "ListSubscriptionsByTopic"),
    )
)


def build_intent(deployment: Deployment | ResearchDeployment, inventory: Inventory) -> Intent:
    """Return the intent of a deployment. `inventory` is used for ARNs with names that CloudFormation generates."""
    intent = Intent()
    if isinstance(deployment, Deployment):
        _Messaging(deployment, inventory, intent).add()
    if research := deployment.research:
        add_research(intent, deployment, research, inventory)
        if research.permissions_boundary:
            intent.boundaries[research.permissions_boundary] = boundary_permissions(deployment, research)
    return intent


def readers(subscriber: SubscriberConfig, deployment: Deployment) -> tuple[str, ...]:
    """Return the subscriber's roles that read payloads. The consume function's role is the first."""
    return tuple(role.arn for role in subscriber_names(deployment, subscriber).reader_roles)


def via_s3_for(bucket: PayloadBucketNames, *copiers: SqsSubscriberConfig) -> Conditions:
    """Return the conditions of a key's use by S3 for the payload bucket or a replica.

    A copy to another Region uses the key through S3 of either Region.
    """
    regions = dict.fromkeys([bucket.place.region, *(subscriber.region for subscriber in copiers)])
    services = tuple(value for region in regions for value in via_s3(region)["kms:ViaService"])
    return {"kms:ViaService": services, "kms:EncryptionContext:aws:s3:arn": (bucket.bucket.arn,)}


def _copier(subscriber: SubscriberConfig) -> Iterator[SqsSubscriberConfig]:
    """Yield the subscriber if it copies payloads."""
    if isinstance(subscriber, SqsSubscriberConfig) and (subscriber.landing or subscriber.pipeline):
        yield subscriber


def _queue(queue: str, account: str, *grants: Grant) -> ResourceIntent:
    return ResourceIntent("queue", queue, account, grants, tls_actions=("sqs:*",))


def _rules(*rules: str) -> Service:
    return Service("events.amazonaws.com", sources=rules)


class _Messaging:
    def __init__(self, deployment: Deployment, inventory: Inventory, intent: Intent) -> None:
        self._deployment, self._inventory, self._intent = deployment, inventory, intent
        self._publisher = names_of(deployment).publisher
        self._home, self._region = deployment.publisher.account, deployment.publisher.region
        self._in_organization: Conditions = (
            {"aws:PrincipalOrgID": (deployment.organization,)} if deployment.organization else {}
        )

    def add(self) -> None:
        deployment, replicas = self._deployment, self._publisher.replicas
        self._add_publisher()
        for replica in replicas.values():
            near = [subscriber for subscriber in deployment.subscribers if subscriber.region == replica.place.region]
            self._add_payload_bucket(replica.stack, replica, near, ())
            self._add_alarms(replica.stack, replica.place.region, self._home)
        for sender in deployment.senders:
            self._add_sender(sender)
        for subscriber in deployment.subscribers:
            if isinstance(subscriber, HttpsSubscriberConfig):
                self._add_https_subscriber(subscriber)
            else:
                self._add_consumer(subscriber)

    # The publisher's account -----------------------------------------------------------------------------------------

    def _add_publisher(self) -> None:
        intent, names, home, deployment = self._intent, self._publisher, self._home, self._deployment
        bucket, topic, bus = names.payload_bucket.bucket.arn, names.topic.arn, names.event_bus.arn
        dead_letters, publish_role = names.dead_letter_queue.arn, self._inventory.arn_of(names.stack, "PublishRole")
        rules = _rules(*(self._inventory.arn_of(names.stack, rule) for rule in ("EventBusRule", "OutboxRule")))
        key_arn = self._add_payload_bucket(
            names.stack, names.payload_bucket, deployment.subscribers, deployment.senders
        )
        endpoints = tuple(subscriber_names(deployment, subscriber).endpoint for subscriber in deployment.subscribers)
        intent.add(
            ResourceIntent(
                "topic",
                topic,
                home,
                tuple(self._subscribe(subscriber) for subscriber in deployment.subscribers),
                tls_actions=TOPIC_ACTIONS,
                restrictions=(("sns:Subscribe", "sns:Endpoint", endpoints),),
            ),
            ResourceIntent(
                "bus",
                bus,
                home,
                tuple(
                    Grant(Account(account), ("events:PutEvents",), (bus,), self._in_organization)
                    for account in sorted({sender.account for sender in deployment.senders})
                ),
            ),
            _queue(dead_letters, home, Grant(rules, ("sqs:SendMessage",), (dead_letters,))),
        )
        invoked = Grant(rules, ("lambda:InvokeFunction",), (names.publish_function.arn,))
        add_function(intent, publish_role, self._region, names.publish_function.name, invoked)
        publish = (
            Permission(("sns:Publish",), (topic,)),
            Permission(S3_WRITE, (f"{bucket}/payloads/*",)),
            Permission(S3_READ, (bucket, f"{bucket}/payloads/*")),
            Permission(KEY_USE, (key_arn,)),
        )
        intent.allow(
            publish_role,
            *publish,
            Permission((*S3_READ, *S3_DELETE), (f"{bucket}/outbox/*",)),
            Permission(SQS_SEND, (dead_letters,)),
        )
        intent.add_role(names.role.arn, Account(home))
        intent.allow(
            names.role.arn,
            *publish,
            # Without s3:DeleteObjectVersion: the library deletes a payload that SNS rejected, but a published payload
            # can be restored.
            Permission(("s3:DeleteObject",), (f"{bucket}/payloads/*",)),
            Permission(S3_WRITE, (f"{bucket}/outbox/*",)),
        )
        if names.replicas:
            replication_role = self._inventory.arn_of(names.stack, "ReplicationRole")
            intent.add_role(replication_role, Service("s3.amazonaws.com"))
            intent.allow(replication_role, *self._replicate(key_arn))
        self._add_alarms(names.stack, self._region, home)

    def _add_payload_bucket(
        self,
        stack: str,
        bucket: PayloadBucketNames,
        subscribers: Iterable[SubscriberConfig],
        senders: Iterable[SenderConfig],
    ) -> str:
        """Add the payload bucket or a replica, and its key. Return the key's ARN."""
        key_arn, bucket_arn = self._inventory.arn_of(stack, "Key"), bucket.bucket.arn
        in_organization = self._in_organization
        bucket_grants, key_grants = [], []
        for subscriber in subscribers:
            roles = Roles(subscriber.account, readers(subscriber, self._deployment))
            bucket_grants.append(Grant(roles, ("s3:GetObject",), (f"{bucket_arn}/payloads/*",), in_organization))
            via_s3 = {**via_s3_for(bucket, *_copier(subscriber)), **in_organization}
            key_grants.append(Grant(roles, ("kms:Decrypt",), (key_arn,), via_s3))
        for sender in senders:
            roles = Roles(sender.account, (self._sender_role(sender),))
            bucket_grants.append(Grant(roles, S3_UPLOAD, (f"{bucket_arn}/outbox/{sender.name}/*",), in_organization))
            key_grants.append(Grant(roles, KEY_UPLOAD, (key_arn,), {**via_s3_for(bucket), **in_organization}))
        bucket_grants += auto_delete(self._deployment, self._inventory, stack, bucket_arn)
        self._intent.add(
            ResourceIntent("bucket", bucket_arn, self._home, tuple(bucket_grants), tls_actions=("s3:*",)),
            key(key_arn, self._home, *key_grants),
        )
        add_auto_delete(self._intent, self._deployment, self._inventory, stack)
        return key_arn

    def _subscribe(self, subscriber: SubscriberConfig) -> Grant:
        conditions = {
            "sns:Protocol": (subscriber.kind,),
            "sns:Endpoint": (subscriber_names(self._deployment, subscriber).endpoint,),
            **self._in_organization,
        }
        return Grant(Account(subscriber.account), ("sns:Subscribe",), (self._publisher.topic.arn,), conditions)

    def _replicate(self, key_arn: str) -> Iterator[Permission]:
        """Yield the replication role's permissions: payloads without the outbox, and no deletion in a replica."""
        bucket = self._publisher.payload_bucket
        yield Permission(("s3:GetReplicationConfiguration", "s3:ListBucket"), (bucket.bucket.arn,))
        yield Permission(
            ("s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"),
            (f"{bucket.bucket.arn}/payloads/*",),
        )
        yield Permission(("kms:Decrypt",), (key_arn,), via_s3_for(bucket))
        for replica in self._publisher.replicas.values():
            yield Permission(("s3:ReplicateObject", "s3:ReplicateTags"), (f"{replica.bucket.arn}/payloads/*",))
            yield Permission(("kms:Encrypt", "kms:GenerateDataKey"), (replica.key_arn_pattern,), via_s3_for(replica))

    # A sender's account ----------------------------------------------------------------------------------------------

    def _add_sender(self, sender: SenderConfig) -> None:
        role, bucket = self._sender_role(sender), self._publisher.payload_bucket
        self._intent.add_role(role, Account(sender.account))
        self._intent.allow(
            role,
            Permission(("events:PutEvents",), (self._publisher.event_bus.arn,)),
            Permission(S3_UPLOAD, (f"{bucket.bucket.arn}/outbox/{sender.name}/*",)),
            Permission(KEY_UPLOAD, (bucket.key_arn_pattern,), via_s3_for(bucket)),
        )

    def _sender_role(self, sender: SenderConfig) -> str:
        return names_of(self._deployment).senders[sender.name].role.arn

    # A subscriber's account ------------------------------------------------------------------------------------------

    def _add_undelivered_queue(self, subscriber: SubscriberConfig) -> str:
        """Add the queue for undelivered messages, with the alarms of its stack. Return the queue's ARN."""
        names, region = subscriber_names(self._deployment, subscriber), self._region
        queue = names.undelivered_queue.arn
        delivered = (Grant(sns, ("sqs:SendMessage",), (queue,)) for sns in self._sns(region))
        self._intent.add(_queue(queue, subscriber.account, *delivered))
        # An HTTPS subscriber's stack is in the topic's Region. Others have a second stack there, for this queue.
        if isinstance(subscriber, HttpsSubscriberConfig) or subscriber.region == region:
            self._add_alarms(names.stack, region, subscriber.account)
        else:
            self._add_alarms(names.stack, subscriber.region, subscriber.account)
            self._add_alarms(names.undelivered_stack, region, subscriber.account)
        return queue

    def _add_https_subscriber(self, subscriber: HttpsSubscriberConfig) -> None:
        home = subscriber.account
        (reader,) = readers(subscriber, self._deployment)
        principals = Roles(home, subscriber.reader_principals) if subscriber.reader_principals else Account(home)
        self._intent.add_role(reader, principals)
        undelivered = self._add_undelivered_queue(subscriber)
        self._intent.allow(reader, *self._read(subscriber), Permission(SQS_CONSUME, (undelivered,)))

    def _add_consumer(self, subscriber: FunctionSubscriberConfig) -> None:
        intent, home, names = self._intent, subscriber.account, subscriber_names(self._deployment, subscriber)
        staging, dead_letters, function = (
            names.staging_bucket.arn,
            names.dead_letter_queue.arn,
            names.consume_function.arn,
        )
        reader, sns = readers(subscriber, self._deployment)[0], self._sns(subscriber.region)
        failed_tasks, invoked = [], []
        if isinstance(subscriber, LambdaSubscriberConfig):
            rule = _rules(self._inventory.arn_of(names.stack, "TaskFailedRule"))
            failed_tasks.append(Grant(rule, SQS_SEND, (dead_letters,)))
            invoked += [Grant(service, ("lambda:InvokeFunction",), (function,)) for service in sns]
        intent.add(
            self._bucket(names.stack, staging, home),
            _queue(dead_letters, home, *failed_tasks),
        )
        add_function(intent, reader, subscriber.region, names.consume_function.name, *invoked)
        add_auto_delete(intent, self._deployment, self._inventory, names.stack)
        intent.allow(
            reader,
            *self._read(subscriber),
            Permission((*S3_WRITE, *S3_READ), (f"{staging}/inline/*",)),
            Permission(S3_READ, (staging,)),
            Permission(SQS_SEND, (dead_letters,)),
        )
        self._add_undelivered_queue(subscriber)
        if isinstance(subscriber, SqsSubscriberConfig):
            self._add_sqs_subscriber(subscriber, reader)
        else:
            self._add_lambda_subscriber(subscriber, reader)

    def _add_sqs_subscriber(self, subscriber: SqsSubscriberConfig, reader: str) -> None:
        intent, home, names = self._intent, subscriber.account, subscriber_names(self._deployment, subscriber)
        queue, machine, bus = names.queue.arn, names.state_machine.arn, names.event_bus.arn
        machine_role, forward_role = (
            self._inventory.arn_of(names.stack, role) for role in ("StateMachineRole", "EventBusForwardRole")
        )
        intent.add(
            _queue(
                queue,
                home,
                *(Grant(service, ("sqs:SendMessage",), (queue,)) for service in self._sns(subscriber.region)),
            ),
            ResourceIntent("bus", bus, home),
        )
        intent.allow(
            reader,
            Permission(SQS_CONSUME, (queue,)),
            Permission(("states:StartExecution",), (machine,)),
            Permission(("states:DescribeExecution",), (f"{machine.replace(':stateMachine:', ':execution:')}:*",)),
        )
        intent.add_role(machine_role, Service("states.amazonaws.com", account=home))
        intent.allow(
            machine_role,
            Permission(("events:PutEvents",), (bus,)),
            # Log delivery and traces have no narrower resource.
            Permission((*LOG_DELIVERY, *_TRACE_STATE_MACHINE), ("*",)),
        )
        intent.add_role(forward_role, Service("events.amazonaws.com", account=home))
        intent.allow(forward_role, Permission(("events:PutEvents",), (bus,)))
        if subscriber.landing:
            copy_function = self._add_landing_bucket(subscriber)
            intent.allow(machine_role, Permission(("lambda:InvokeFunction",), (copy_function, f"{copy_function}:*")))
        if subscriber.state_machine and subscriber.state_machine.permissions:
            intent.allow(machine_role, *_permissions_of_file(subscriber.state_machine.permissions))
        if subscriber.pipeline and self._deployment.research:
            self._add_pipeline_trigger(subscriber, self._deployment.research)

    def _add_pipeline_trigger(self, subscriber: SqsSubscriberConfig, research: ResearchConfig) -> None:
        """Add the function that copies payloads to the pipeline's prefix of the data bucket and starts the pipeline."""
        intent, home, names = self._intent, subscriber.account, subscriber_names(self._deployment, subscriber)
        region, data = subscriber.region, research_names(self._deployment).data_bucket.arn
        (pipeline,) = (pipeline for pipeline in research.pipelines if pipeline.name == subscriber.pipeline)
        role, function = names.pipeline_trigger_role.arn, names.pipeline_trigger_function
        dead_letters = names.pipeline_trigger_dead_letter_queue.arn
        rule = _rules(self._inventory.arn_of(names.stack, "PipelineTriggerProcessedRule"))
        invoked = Grant(rule, ("lambda:InvokeFunction",), (function.arn,))
        intent.add(_queue(dead_letters, home, Grant(rule, ("sqs:SendMessage",), (dead_letters,))))
        add_function(intent, role, region, function.name, invoked)
        intent.allow(
            role,
            *self._read(subscriber),
            *self._read_staged(subscriber),
            Permission(S3_UPLOAD, (f"{data}/shared/{pipeline.name}/messages/*",)),
            # The key is in the research stack. This stack does not know its ARN.
            Permission(
                KEY_UPLOAD,
                (arn("kms", region, home, "key/*"),),
                {**via_s3(region), "kms:EncryptionContext:aws:s3:arn": (data,)},
            ),
            Permission(
                ("sagemaker:StartPipelineExecution",), (research_names(self._deployment).pipeline(pipeline.name).arn,)
            ),
            Permission(("events:PutEvents",), (names.event_bus.arn,)),
            Permission(SQS_SEND, (dead_letters,)),
        )

    def _add_landing_bucket(self, subscriber: SqsSubscriberConfig) -> str:
        """Add the landing bucket, its key, and the function that copies payloads. Return the function's ARN."""
        intent, home, names = self._intent, subscriber.account, subscriber_names(self._deployment, subscriber)
        key_arn, bucket = self._inventory.arn_of(names.stack, "LandingKey"), names.landing_bucket.arn
        role = readers(subscriber, self._deployment)[1]
        intent.add(self._bucket(names.stack, bucket, home), key(key_arn, home))
        function = add_function(intent, role, subscriber.region, names.copy_function.name)
        intent.allow(
            role,
            *self._read(subscriber),
            *self._read_staged(subscriber),
            Permission(S3_WRITE, (f"{bucket}/landed/*",)),
            Permission(("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"), (key_arn,)),
        )
        return function

    def _add_lambda_subscriber(self, subscriber: LambdaSubscriberConfig, reader: str) -> None:
        intent, home, names = self._intent, subscriber.account, subscriber_names(self._deployment, subscriber)
        region, cluster, task_role = subscriber.region, names.cluster.name, names.task_role.arn
        execution_role = self._inventory.arn_of(names.stack, "TaskExecutionRole")
        if not subscriber.network:
            # The endpoint saves costs. The network has another way out, so the endpoint's policy restricts nothing.
            endpoint = self._inventory.arn_of(names.stack, "TaskNetworkVpcS3")
            intent.add(ResourceIntent("endpoint", endpoint, home, (Grant(AnyPrincipal(), ("*",), ("*",)),)))
        intent.allow(
            reader,
            Permission(("dynamodb:GetItem", "dynamodb:PutItem"), (names.idempotency_table.arn,)),
            Permission(("ecs:DescribeTasks",), (names.tasks_arn,)),
            Permission(("ecs:RunTask",), (arn("ecs", region, home, f"task-definition/{cluster}:1"),)),
            Permission(
                ("iam:PassRole",),
                (task_role, execution_role),
                {"iam:PassedToService": ("ecs-tasks.amazonaws.com",)},
            ),
        )
        for role in (task_role, execution_role):
            intent.add_role(role, Service("ecs-tasks.amazonaws.com", account=home))
        intent.allow(task_role, *self._read(subscriber), *self._read_staged(subscriber))
        intent.allow(execution_role, Permission(LOG, (log_group(region, home, f"/aws/ecs/{cluster}"),)))
        if repository := self._task_repository(subscriber):
            intent.allow(execution_role, Permission(ECR_PULL, (repository,)), ECR_LOGIN)
        if not subscriber.task.image:
            self._add_task_image(subscriber, repository)

    def _task_repository(self, subscriber: LambdaSubscriberConfig) -> str:
        """Return the ARN of the image's ECR repository, of any account, or "" for an image in another registry."""
        if not subscriber.task.image:
            return subscriber_names(self._deployment, subscriber).task_repository.arn
        registry, _, name = subscriber.task.image.partition("@")[0].partition("/")
        match registry.split("."):
            case [account, "dkr", "ecr", region, *_]:
                return arn("ecr", region, account, f"repository/{name}")
        return ""

    def _add_task_image(self, subscriber: LambdaSubscriberConfig, repository: str) -> None:
        intent, home, names = self._intent, subscriber.account, subscriber_names(self._deployment, subscriber)

        def named(construct: str) -> str:
            return self._inventory.arn_of(names.stack, f"TaskImage{construct}")

        region, log, role = subscriber.region, named("BuildLogs"), named("BuilderBuildRole")
        intent.add(ResourceIntent("repository", repository, home))
        contexts = asset_bucket(region, home)
        add_build(intent, named("BuildRole"), contexts=contexts, log=log, repository=repository)
        function = add_function(intent, role, region, names.task_build_function.name)
        intent.allow(role, *start_builds((named("BuildProject"),), (repository,), (log,)))
        add_async_provider(intent, self._inventory, names.stack, "TaskImageBuilderProvider", function)

    def _bucket(self, stack: str, bucket: str, account: str) -> ResourceIntent:
        grants = tuple(auto_delete(self._deployment, self._inventory, stack, bucket))
        return ResourceIntent("bucket", bucket, account, grants, tls_actions=("s3:*",))

    def _read(self, subscriber: SubscriberConfig) -> Iterator[Permission]:
        """Yield the permissions to read payloads, also from the replica in the subscriber's Region."""
        near = [region for region in self._publisher.replicas if region == subscriber.region]
        for region in [self._region, *near]:
            bucket = payload_bucket(self._deployment, region)
            yield Permission(("s3:GetObject",), (f"{bucket.bucket.arn}/payloads/*",))
            # Another account does not know the key's ARN. The key's own policy decides.
            via_s3 = via_s3_for(bucket, *_copier(subscriber))
            yield Permission(("kms:Decrypt",), (bucket.key_arn_pattern,), via_s3)

    def _read_staged(self, subscriber: FunctionSubscriberConfig) -> Iterator[Permission]:
        staging = subscriber_names(self._deployment, subscriber).staging_bucket.arn
        yield Permission(S3_READ, (staging, f"{staging}/inline/*"))

    def _sns(self, endpoint_region: str) -> list[Service]:
        principals = self._publisher.sns_principals(endpoint_region)
        return [Service(principal, sources=(self._publisher.topic.arn,)) for principal in principals]

    # Alarms ----------------------------------------------------------------------------------------------------------

    def _add_alarms(self, stack: str, region: str, account: str) -> None:
        """Add the stack's alarm topic, to which only the stack's alarms publish, and its key."""
        topic, key_arn = arn("sns", region, account, f"{stack}-operations"), self._inventory.arn_of(stack, "AlarmsKey")
        sources = (arn("cloudwatch", region, account, f"alarm:{stack}-*"),)
        alarms = Service("cloudwatch.amazonaws.com", sources=sources, account=account)
        publish = Grant(alarms, ("sns:Publish",), (topic,))
        self._intent.add(
            ResourceIntent("topic", topic, account, (publish,), tls_actions=TOPIC_ACTIONS),
            key(key_arn, account, Grant(alarms, ("kms:Decrypt", "kms:GenerateDataKey*"), (key_arn,))),
        )


_TRACE_STATE_MACHINE = (
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("xray:GetSamplingRules", "xray:GetSamplingTargets"),
)


def _permissions_of_file(permissions: str) -> Iterator[Permission]:
    """Yield the permissions in `subscribers.state_machine.permissions`, for files with complete ARNs."""
    for statement in json.loads(fill_placeholders(permissions, {})):
        assert statement["Effect"] == "Allow"
        assert "Condition" not in statement
        yield Permission(tuple(as_list(statement["Action"])), tuple(as_list(statement["Resource"])))
