"""Statement of intent: every resource of a deployment, its settings, and every permission. All others are findings.

It is written from the contract between accounts, not from the templates. `prover.py` compares the policies with it,
`table.py` the settings. `research_intent.py` has a research environment's part.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from access.inventory import Inventory
from access.research_intent import add_research
from access.stack_intent import ANYWHERE, DELETED, TOPIC_ACTIONS, StackIntent, any_principal
from access.table import Free, Json
from access.terms import (
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
    Conditions,
    Grant,
    Intent,
    Permission,
    ResourceIntent,
    Roles,
    Service,
    arn,
    log_group,
    via_s3,
)
from claim_check import Store
from stacks.deployment import (
    Deployment,
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    Names,
    PayloadBucketNames,
    ResearchDeployment,
    ResearchNames,
    SenderConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
    SubscriberNames,
)
from stacks.deployment.names import OUTBOX, PAYLOADS, Place, Resource
from stacks.deployment.payload_lifetime import PUBLISH_DEAD_LETTER_DAYS, days_until_forgotten
from stacks.deployment.publisher import SNS_DEFAULT_MAXIMUM_BYTES
from stacks.deployment.state_machine import fill_placeholders

_OF_APPLICATIONS = {"source": [{"anything-but": {"prefix": "aws."}}, {"prefix": "aws.partner/"}]}
"""Events that applications and partners put on the bus. No event of a sender may pass for an event of S3."""
_FAILURE = [
    {"stopCode": [{"anything-but": ["EssentialContainerExited"]}]},
    {"stopCode": [{"exists": False}]},
    {"containers": {"exitCode": [{"anything-but": [0]}]}},
    {"containers": {"exitCode": [{"exists": False}]}},
    {"containers": {"reason": [{"exists": True}]}},
]
"""Every end of a task except its own, with exit code 0 of its container."""
_RETRIES = Free("retries delay a state, and give no access", list)
_DELIVERY_POLICY = Free("retries delay a delivery, and give no access", dict)
_ERRORS = ("UntrustedStore", "MalformedMessage", "PayloadCorrupt")


def build_intent(deployment: Deployment | ResearchDeployment, inventory: Inventory) -> Intent:
    """Return the intent of a deployment. `inventory` is used for names that CDK or CloudFormation generates.

    Raises:
        UnresolvedError: a stack or a resource is missing.
    """
    intent = Intent()
    if isinstance(deployment, Deployment):
        _Messaging(deployment, inventory, intent).add()
    if research := deployment.research:
        add_research(intent, deployment, research, inventory)
    return intent


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


def _rules(*rules: str) -> Service:
    return Service("events.amazonaws.com", sources=rules)


def _stores(stores: Iterable[Store]) -> Json:
    return Json([store.to_dict() for store in stores])


class _Messaging:
    def __init__(self, deployment: Deployment, inventory: Inventory, intent: Intent) -> None:
        self._deployment, self._inventory, self._intent = deployment, inventory, intent
        self._names = Names(deployment)
        self._publisher = self._names.publisher
        self._home, self._region = deployment.publisher.account, deployment.publisher.region
        self._days = deployment.publisher.payload_lifetime_days
        self._in_organization: Conditions = (
            {"aws:PrincipalOrgID": (deployment.organization,)} if deployment.organization else {}
        )

    def add(self) -> None:
        deployment = self._deployment
        self._add_publisher()
        for replica in self._publisher.replicas.values():
            stack = self._stack(replica.stack, replica.place)
            near = [subscriber for subscriber in deployment.subscribers if subscriber.region == replica.place.region]
            self._add_payload_bucket(stack, "ReplicaBucket", replica, near, ())
            alias: dict[str, Any] = {"AliasName": replica.key_alias.name, "TargetKeyId": stack.att("Key")}
            stack.add("KeyAlias", "AWS::KMS::Alias", **alias)
            self._add_alarms(stack, dashboard=False)
            self._add_replication_alarm(stack, "ReplicaLate", "ReplicationLatency", replica.place.region)
        for sender in deployment.senders:
            self._add_sender(sender)
        for subscriber in deployment.subscribers:
            if isinstance(subscriber, HttpsSubscriberConfig):
                self._add_https_subscriber(subscriber)
            else:
                self._add_consumer(subscriber)

    def _stack(self, name: str, place: Place) -> StackIntent:
        return StackIntent(self._intent, self._inventory, self._deployment, name, place)

    def _add_alarms(self, stack: StackIntent, *, dashboard: bool = True) -> None:
        stack.alarms(self._deployment.operations.emails, dashboard=dashboard)

    # The publisher's account -----------------------------------------------------------------------------------------

    def _add_publisher(self) -> None:
        intent, names, home, settings = self._intent, self._publisher, self._home, self._deployment.publisher
        stack, bucket = self._stack(names.stack, names.place), names.payload_bucket.bucket
        queue, function = "PublishDeadLetters", "Publish"
        key = self._add_payload_bucket(
            stack,
            "PayloadBucket",
            names.payload_bucket,
            self._deployment.subscribers,
            self._deployment.senders,
            NotificationConfiguration={"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            ReplicationConfiguration=self._replication(stack) if names.replicas else None,
        )
        self._add_topic(stack)
        self._add_event_bus(stack)
        uploads = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": [bucket.name]}, "object": {"key": [{"prefix": OUTBOX}]}},
        }
        types = {"detail-type": list(settings.detail_types)} if settings.detail_types else {}
        rules = _rules(
            stack.invoking_rule("EventBusRule", {**_OF_APPLICATIONS, **types}, function, queue, names.event_bus.name),
            stack.invoking_rule("OutboxRule", uploads, function, queue),
        )
        dead_letters = names.dead_letter_queue
        lost = Grant(rules, ("sqs:SendMessage",), (dead_letters.arn,))
        stack.queue(queue, dead_letters, lost, days=PUBLISH_DEAD_LETTER_DAYS)
        publish_role = stack.function(
            function,
            names.publish_function,
            "publish",
            Grant(rules, ("lambda:InvokeFunction",), (names.publish_function.arn,)),
            environment={
                "TOPIC_ARN": names.topic.arn,
                "PAYLOAD_STORE": Json(names.store.to_dict()),
                "OUTBOX_PREFIX": OUTBOX,
                "SENDERS": Json({sender.name: sender.account for sender in self._deployment.senders}),
                "THRESHOLD_BYTES": str(settings.maximum_message_bytes),
                "OFFLOAD": settings.offload,
                "MAXIMUM_UPLOAD_BYTES": str(settings.outbox.maximum_bytes),
            },
            on_failure=queue,
        )
        publish = (
            Permission(("sns:Publish",), (names.topic.arn,)),
            Permission(S3_WRITE, (f"{bucket.arn}/{PAYLOADS}*",)),
            Permission(S3_READ, (bucket.arn, f"{bucket.arn}/{PAYLOADS}*")),
            Permission(KEY_USE, (key,)),
        )
        intent.allow(
            publish_role,
            *publish,
            Permission((*S3_READ, *S3_DELETE), (f"{bucket.arn}/{OUTBOX}*",)),
            Permission(SQS_SEND, (dead_letters.arn,)),
        )
        role = stack.role("PublisherRole", Account(home), name=names.role.name)
        intent.allow(
            role,
            *publish,
            # Without s3:DeleteObjectVersion: the library deletes a payload that SNS rejected, but a published payload
            # can be restored.
            Permission(("s3:DeleteObject",), (f"{bucket.arn}/{PAYLOADS}*",)),
            Permission(S3_WRITE, (f"{bucket.arn}/{OUTBOX}*",)),
        )
        if names.replicas:
            intent.allow(stack.role("ReplicationRole", Service("s3.amazonaws.com")), *self._replicate(key))
        self._add_publisher_alarms(stack)

    def _add_topic(self, stack: StackIntent) -> None:
        names, settings, subscribers = self._publisher, self._deployment.publisher, self._deployment.subscribers
        endpoints = tuple(self._of(subscriber).endpoint for subscriber in subscribers)
        stack.add(
            "Topic",
            "AWS::SNS::Topic",
            FifoTopic=settings.fifo or None,
            KmsMasterKeyId=stack.att("Key"),
            MaximumMessageSize=max(settings.maximum_message_bytes, SNS_DEFAULT_MAXIMUM_BYTES),
            TopicName=names.topic.name,
        )
        stack.add("TopicPolicy", "AWS::SNS::TopicPolicy")
        self._intent.add(
            ResourceIntent(
                "topic",
                names.topic.arn,
                self._home,
                tuple(self._subscribe(subscriber) for subscriber in subscribers),
                tls_actions=TOPIC_ACTIONS,
                restrictions=(("sns:Subscribe", "sns:Endpoint", endpoints),),
            )
        )

    def _subscribe(self, subscriber: SubscriberConfig) -> Grant:
        conditions = {
            "sns:Protocol": (subscriber.kind,),
            "sns:Endpoint": (self._of(subscriber).endpoint,),
            **self._in_organization,
        }
        return Grant(Account(subscriber.account), ("sns:Subscribe",), (self._publisher.topic.arn,), conditions)

    def _add_event_bus(self, stack: StackIntent) -> None:
        bus, settings = self._publisher.event_bus, self._deployment.publisher
        senders = sorted({sender.account for sender in self._deployment.senders})
        put = ("events:PutEvents",)
        grants = tuple(Grant(Account(account), put, (bus.arn,), self._in_organization) for account in senders)
        self._intent.add(ResourceIntent("bus", bus.arn, self._home, grants))
        stack.add("EventBus", "AWS::Events::EventBus", removal=stack.stateful, Name=bus.name)
        for account in senders:
            stack.add(f"EventBusPutEventsFrom{account}", "AWS::Events::EventBusPolicy")
        unpublished = {"anything-but": list(settings.detail_types)} if settings.detail_types else {"exists": False}
        stack.add(
            "EventBusArchive",
            "AWS::Events::Archive",
            removal=stack.stateful,
            ArchiveName=self._publisher.archive.name,
            EventPattern={**_OF_APPLICATIONS, "detail-type": [unpublished]},
            SourceArn=bus.arn,
        )

    def _add_publisher_alarms(self, stack: StackIntent) -> None:
        self._add_alarms(stack)
        stack.queue_alarm("PublishDeadLetters", "PublishDeadLetters")
        for name, metric in (("NotDelivered", "Redriven"), ("DeliveryLost", "FailedToRedrive")):
            topic = {"TopicName": self._publisher.topic.name}
            stack.alarm(name, "AWS/SNS", f"NumberOfNotifications{metric}ToDlq", topic)
        if subscribed := [subscriber for subscriber in self._deployment.subscribers if subscriber.subscribed]:
            counts = {"filtered": "FilteredOut", "delivered": "Delivered", "failed": "Failed"}
            attempts = " + ".join(f"FILL({count}, 0)" for count in counts)
            metrics = {"published": "NumberOfMessagesPublished"} | {
                count: f"NumberOfNotifications{metric}" for count, metric in counts.items()
            }
            stack.expression_alarm(
                "SubscriptionMissing",
                f"IF(published > 0 AND {attempts} <= published * {len(subscribed) - 0.5}, 1, 0)",
                {
                    id: ("AWS/SNS", metric, "TopicName", self._publisher.topic.name, "Sum")
                    for id, metric in metrics.items()
                },
                period=3600,
                DatapointsToAlarm=2,
            )
        stack.function_alarms("Publish", "Publish", ["PayloadCorrupt"], asynchronous=True)
        lost = "InvocationsFailedToBeSentToDlq"
        stack.rule_alarm("EventsLost", "EventBusRule", lost, self._publisher.event_bus.name)
        stack.rule_alarm("UploadsLost", "OutboxRule", lost)
        for region in self._publisher.replicas:
            self._add_replication_alarm(stack, f"{region}-NotReplicated", "OperationsFailedReplication", region)

    def _add_replication_alarm(self, stack: StackIntent, name: str, metric: str, region: str) -> None:
        replica = self._publisher.replicas[region]
        dimensions = {
            "DestinationBucket": replica.bucket.name,
            "RuleId": replica.replication_rule,
            "SourceBucket": self._publisher.payload_bucket.bucket.name,
        }
        late: dict[str, Any] = {"statistic": "Maximum", "threshold": 3600} if metric == "ReplicationLatency" else {}
        stack.alarm(name, "AWS/S3", metric, dimensions, **late)

    def _add_payload_bucket(
        self,
        stack: StackIntent,
        construct: str,
        bucket: PayloadBucketNames,
        subscribers: Iterable[SubscriberConfig],
        senders: Iterable[SenderConfig],
        **given: Any,
    ) -> str:
        """Add the payload bucket or a replica, and its key. Return the key's ARN."""
        key, bucket_arn = stack.att("Key"), bucket.bucket.arn
        in_organization = self._in_organization
        bucket_grants, key_grants = [], []
        for subscriber in subscribers:
            roles = Roles(subscriber.account, tuple(role.arn for role in self._of(subscriber).reader_roles))
            bucket_grants.append(Grant(roles, ("s3:GetObject",), (f"{bucket_arn}/{PAYLOADS}*",), in_organization))
            via_s3 = {**via_s3_for(bucket, *_copier(subscriber)), **in_organization}
            key_grants.append(Grant(roles, ("kms:Decrypt",), (key,), via_s3))
        for sender in senders:
            roles = Roles(sender.account, (self._names.senders[sender.name].role.arn,))
            outbox = f"{bucket_arn}/{self._names.senders[sender.name].outbox}*"
            bucket_grants.append(Grant(roles, S3_UPLOAD, (outbox,), in_organization))
            key_grants.append(Grant(roles, KEY_UPLOAD, (key,), {**via_s3_for(bucket), **in_organization}))
        stack.key("Key", *key_grants)
        options: dict[str, Any] = {"key": "Key", "days": self._days, "versioned": True, "grants": bucket_grants}
        stack.bucket(construct, bucket.bucket.name, **options, **given)
        return key

    def _replication(self, stack: StackIntent) -> dict[str, Any]:
        """Return the replication of payloads, and of nothing else, to the replicas, with their keys."""
        rules = [
            {
                "Id": replica.replication_rule,
                "Status": "Enabled",
                "Priority": priority,
                "Filter": {"Prefix": PAYLOADS},
                "DeleteMarkerReplication": {"Status": "Disabled"},
                "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
                "Destination": {
                    "Bucket": replica.bucket.arn,
                    "EncryptionConfiguration": {"ReplicaKmsKeyID": replica.key_alias.arn},
                    "Metrics": {"Status": "Enabled"},
                },
            }
            for priority, replica in enumerate(self._publisher.replicas.values(), start=1)
        ]
        return {"Role": stack.att("ReplicationRole"), "Rules": rules}

    def _replicate(self, key: str) -> Iterator[Permission]:
        """Yield the replication role's permissions: payloads without the outbox, and no deletion in a replica."""
        bucket = self._publisher.payload_bucket
        yield Permission(("s3:GetReplicationConfiguration", "s3:ListBucket"), (bucket.bucket.arn,))
        yield Permission(
            ("s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"),
            (f"{bucket.bucket.arn}/{PAYLOADS}*",),
        )
        yield Permission(("kms:Decrypt",), (key,), via_s3_for(bucket))
        for replica in self._publisher.replicas.values():
            yield Permission(("s3:ReplicateObject", "s3:ReplicateTags"), (f"{replica.bucket.arn}/{PAYLOADS}*",))
            yield Permission(("kms:Encrypt", "kms:GenerateDataKey"), (replica.key_arn_pattern,), via_s3_for(replica))

    # A sender's account ----------------------------------------------------------------------------------------------

    def _add_sender(self, sender: SenderConfig) -> None:
        names, bucket = self._names.senders[sender.name], self._publisher.payload_bucket
        stack = self._stack(names.stack, names.place)
        role = stack.role("Role", Account(sender.account), name=names.role.name)
        self._intent.allow(
            role,
            Permission(("events:PutEvents",), (self._publisher.event_bus.arn,)),
            Permission(S3_UPLOAD, (f"{bucket.bucket.arn}/{names.outbox}*",)),
            Permission(KEY_UPLOAD, (bucket.key_arn_pattern,), via_s3_for(bucket)),
        )

    # A subscriber's account ------------------------------------------------------------------------------------------

    def _of(self, subscriber: SubscriberConfig) -> SubscriberNames:
        return self._names.subscribers[subscriber.name]

    def _add_subscription(self, subscriber: SubscriberConfig, region: str) -> StackIntent:
        """Add the subscription, and the queue for undelivered messages in the topic's Region. Return the stack."""
        names, topic = self._of(subscriber), self._publisher.topic
        stack = self._stack(names.stack, Place(subscriber.account, region))
        self._add_alarms(stack)
        scope = {"attributes": "MessageAttributes", "body": "MessageBody"}[subscriber.filter_policy_scope]
        if subscriber.subscribed:
            stack.add(
                "Subscription",
                "AWS::SNS::Subscription",
                TopicArn=topic.arn,
                Region=self._region,
                Protocol=subscriber.kind,
                Endpoint=names.endpoint,
                # SNS signs only its envelope, so that posts to an endpoint are not raw.
                RawMessageDelivery=True if subscriber.kind == "sqs" else None,
                DeliveryPolicy=_DELIVERY_POLICY if subscriber.kind == "https" else None,
                FilterPolicy=json.loads(subscriber.filter_policy) if subscriber.filter_policy else None,
                FilterPolicyScope=scope,
                RedrivePolicy={"deadLetterTargetArn": names.undelivered_queue.arn},
            )
        owner, construct = stack, "SubscriptionUndeliveredQueue"
        if region != self._region:
            owner = self._stack(names.undelivered_stack, Place(subscriber.account, self._region))
            construct = "UndeliveredQueue"
            self._add_alarms(owner, dashboard=False)
        queue = names.undelivered_queue
        owner.queue(construct, queue, *self._send(queue, self._region), days=subscriber.dead_letter_retention_days)
        owner.queue_alarm("Undelivered", construct)
        return stack

    def _add_https_subscriber(self, subscriber: HttpsSubscriberConfig) -> None:
        home, names = subscriber.account, self._of(subscriber)
        stack = self._add_subscription(subscriber, self._region)
        principals = Roles(home, subscriber.reader_principals) if subscriber.reader_principals else Account(home)
        reader = stack.role("Reader", principals, name=names.reader_role.name)
        undelivered = Permission(SQS_CONSUME, (names.undelivered_queue.arn,))
        self._intent.allow(reader, *self._read(subscriber), undelivered)

    def _add_consumer(self, subscriber: FunctionSubscriberConfig) -> None:
        names = self._of(subscriber)
        stack = self._add_subscription(subscriber, subscriber.region)
        staging = stack.bucket("ConsumerStagingBucket", names.staging_bucket.name, days=self._days)
        if isinstance(subscriber, SqsSubscriberConfig):
            reader = self._add_sqs_subscriber(stack, subscriber)
        else:
            reader = self._add_lambda_subscriber(stack, subscriber)
        self._intent.allow(
            reader,
            *self._read(subscriber),
            Permission((*S3_WRITE, *S3_READ), (f"{staging}/inline/*",)),
            Permission(S3_READ, (staging,)),
            Permission(SQS_SEND, (names.dead_letter_queue.arn,)),
        )

    def _consume_function(
        self, stack: StackIntent, subscriber: FunctionSubscriberConfig, package: str, *grants: Grant, **options: Any
    ) -> str:
        """Add the consume function and its alarms. Return its role's ARN."""
        names = self._of(subscriber)
        stores = {
            "TRUSTED_STORES": _stores(names.trusted_stores),
            "STAGING_STORE": Json(names.staging_store.to_dict()),
        }
        environment = stores | options.pop("environment")
        stack.function_alarms(
            "Consume",
            "ConsumerFunction",
            _ERRORS,
            asynchronous="on_failure" in options,
            throttled=not options.get("concurrency"),
        )
        stack.queue_alarm("DeadLetters", "ConsumerDeadLetterQueue")
        function = ("FunctionName", stack.ref("ConsumerFunction"), "Sum")
        invocations = {"invocations": ("AWS/Lambda", "Invocations", *function)}
        waiting, metrics = "throttles > 0", {"throttles": ("AWS/Lambda", "Throttles", *function)}
        if subscriber.kind == "sqs":
            waiting, own_queue = "visible > 0 AND hidden < 1", ("QueueName", names.queue.name, "Maximum")
            metrics = {
                "visible": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", *own_queue),
                "hidden": ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", *own_queue),
            }
        expression = f"IF({waiting} AND FILL(invocations, 0) < 1, 1, 0)"
        stack.expression_alarm("ConsumeStopped", expression, metrics | invocations)
        return stack.function(
            "ConsumerFunction",
            names.consume_function,
            package,
            *grants,
            role_name=names.reader_role.name,
            environment=environment,
            **options,
        )

    def _add_sqs_subscriber(self, stack: StackIntent, subscriber: SqsSubscriberConfig) -> str:
        intent, names = self._intent, self._of(subscriber)
        queue, machine, bus = names.queue.arn, names.state_machine.arn, names.event_bus
        reader = self._consume_function(
            stack,
            subscriber,
            "consume_queue",
            environment={
                "STATE_MACHINE_ARN": machine,
                "DEAD_LETTER_QUEUE_URL": stack.ref("ConsumerDeadLetterQueue"),
                "MAXIMUM_RECEIVES": str(subscriber.maximum_receives),
            },
        )
        intent.allow(
            reader,
            Permission(SQS_CONSUME, (queue,)),
            Permission(("states:StartExecution",), (machine,)),
            Permission(("states:DescribeExecution",), (f"{machine.replace(':stateMachine:', ':execution:')}:*",)),
        )
        stack.queue("ConsumerDeadLetterQueue", names.dead_letter_queue, days=subscriber.dead_letter_retention_days)
        stack.queue(
            "Queue",
            names.queue,
            *self._send(names.queue, subscriber.region),
            days=subscriber.queue_retention_days,
            VisibilityTimeout=subscriber.visibility_timeout,
            RedrivePolicy={
                "deadLetterTargetArn": names.dead_letter_queue.arn,
                "maxReceiveCount": subscriber.maximum_receives,
            },
        )
        stack.add(
            stack.find(r"ConsumerFunctionSqsEventSource\w+Queue[0-9A-F]{8}"),
            "AWS::Lambda::EventSourceMapping",
            BatchSize=subscriber.batch_size,
            EventSourceArn=queue,
            FunctionName=names.consume_function.name,
            ScalingConfig={"MaximumConcurrency": subscriber.maximum_concurrency},
        )
        late = subscriber.maximum_receives * subscriber.visibility_timeout
        stack.alarm(
            "QueueLate",
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            {"QueueName": names.queue.name},
            statistic="Maximum",
            threshold=late,
        )
        stack.add("EventBus", "AWS::Events::EventBus", removal=stack.stateful, Name=bus.name)
        intent.add(ResourceIntent("bus", bus.arn, stack.account))
        forward = stack.service_role("EventBusForwardRole", "events")
        intent.allow(forward, Permission(("events:PutEvents",), (bus.arn,)))
        unsuccessful = {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine]}
        self._forward(stack, "Failed", "states", "Step Functions Execution Status Change", unsuccessful)
        stack.rule_alarm("ExecutionEventsLost", "EventBusFailedRule")
        self._add_state_machine(stack, subscriber)
        if subscriber.pipeline and self._names.research:
            self._add_pipeline_trigger(stack, subscriber, subscriber.pipeline, self._names.research)
        return reader

    def _forward(self, stack: StackIntent, name: str, source: str, detail_type: str, detail: dict[str, Any]) -> None:
        """Add a rule that forwards events of a service from the account's default bus to the subscriber's."""
        pattern = {"source": [f"aws.{source}"], "detail-type": [detail_type], "detail": detail}
        target = {"Arn": stack.att("EventBus"), "RoleArn": stack.att("EventBusForwardRole")}
        stack.rule(f"EventBus{name}Rule", pattern, target)

    def _add_state_machine(self, stack: StackIntent, subscriber: SqsSubscriberConfig) -> None:
        intent, names = self._intent, self._of(subscriber)
        bus, settings = names.event_bus, subscriber.state_machine
        role = stack.service_role("StateMachineRole", "states")
        intent.allow(
            role,
            Permission(("events:PutEvents",), (bus.arn,)),
            # Log delivery and traces have no narrower resource.
            Permission((*LOG_DELIVERY, *_TRACE_STATE_MACHINE), ("*",)),
        )
        values = {
            "StateMachineArn": names.state_machine.arn,
            "ExecutionArnPrefix": names.state_machine.arn.replace(":stateMachine:", ":execution:"),
            "EventBusName": bus.name,
            "EventBusArn": bus.arn,
            "StagingBucketArn": names.staging_bucket.arn,
        }
        states: dict[str, Any] = {
            "PublishResult": {
                "End": True,
                "Retry": _RETRIES,
                "Type": "Task",
                "ResultPath": None,
                "Resource": f"arn:{stack.partition}:states:::events:putEvents",
                "Parameters": {
                    "Entries": [
                        {
                            "Detail.$": "$",
                            "DetailType": "Payload processed",
                            "EventBusName": bus.arn,
                            "Source": self._deployment.name,
                        }
                    ]
                },
            }
        }
        if subscriber.landing:
            copy_function = self._add_landing_bucket(stack, subscriber, subscriber.landing.retention_days)
            intent.allow(role, Permission(("lambda:InvokeFunction",), (copy_function, f"{copy_function}:*")))
            values |= {
                "CopyFunctionArn": copy_function,
                "LandingBucket": names.landing_bucket.name,
                "LandingBucketArn": names.landing_bucket.arn,
                "LandingKeyArn": stack.att("LandingKey"),
            }
            states["CopyPayload"] = {
                "Next": "PublishResult",
                "Retry": _RETRIES,
                "Type": "Task",
                "ResultPath": "$.landed",
                "Resource": copy_function,
            }
        definition: Any = {"StartAt": "CopyPayload" if subscriber.landing else "PublishResult", "States": states}
        if settings:
            definition = json.loads(fill_placeholders(settings.definition, values))
            if settings.permissions:
                intent.stated[role] = tuple(json.loads(fill_placeholders(settings.permissions, values)))
        stack.log_group("StateMachineLogs", f"/aws/vendedlogs/states/{names.state_machine.name}")
        stack.state_machine(
            "StateMachine",
            "StateMachineLogs",
            role,
            Json(definition),
            removal=DELETED,
            StateMachineName=names.state_machine.name,
            StateMachineType="STANDARD",
            TracingConfiguration={"Enabled": True},
        )
        for name, metric in (("Failed", "ExecutionsFailed"), ("TimedOut", "ExecutionsTimedOut")):
            stack.alarm(f"Executions{name}", "AWS/States", metric, {"StateMachineArn": names.state_machine.arn})

    def _add_pipeline_trigger(
        self, stack: StackIntent, subscriber: SqsSubscriberConfig, pipeline: str, research: ResearchNames
    ) -> None:
        """Add the function that copies payloads to the pipeline's prefix of the data bucket and starts the pipeline."""
        intent, names = self._intent, self._of(subscriber)
        function, queue, store = names.pipeline_trigger_function, "PipelineTriggerDeadLetterQueue", research.data_store
        target = research.pipeline(pipeline)
        processed = {"source": [self._deployment.name], "detail-type": ["Payload processed"]}
        rule = stack.invoking_rule(
            "PipelineTriggerProcessedRule", processed, "PipelineTriggerFunction", queue, names.event_bus.name
        )
        dead_letters = stack.queue(
            queue,
            names.pipeline_trigger_dead_letter_queue,
            Grant(_rules(rule), ("sqs:SendMessage",), (names.pipeline_trigger_dead_letter_queue.arn,)),
            days=subscriber.dead_letter_retention_days,
        )
        role = stack.function(
            "PipelineTriggerFunction",
            function,
            "start_pipeline",
            Grant(_rules(rule), ("lambda:InvokeFunction",), (function.arn,)),
            role_name=names.pipeline_trigger_role.name,
            environment={
                "TRUSTED_STORES": _stores(names.handoff_stores),
                "DATA_STORE": Json(store(pipeline).to_dict()),
                "PIPELINE": target.name,
                "EVENT_BUS": names.event_bus.name,
            },
            on_failure=queue,
        )
        stack.function_alarms("PipelineTrigger", "PipelineTriggerFunction", asynchronous=True)
        stack.queue_alarm("PipelineTriggerDeadLetters", queue)
        finished = {
            "pipelineArn": [target.arn],
            "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
        }
        status = "SageMaker Model Building Pipeline Execution Status Change"
        self._forward(stack, "Execution", "sagemaker", status, finished)
        stack.rule_alarm("PipelineEventsLost", "EventBusExecutionRule")
        data = research.data_bucket.arn
        intent.allow(
            role,
            *self._read(subscriber),
            *self._read_staged(subscriber),
            Permission(S3_UPLOAD, (f"{data}/{store(pipeline).prefix}*",)),
            # The key is in the research stack. This stack does not know its ARN.
            Permission(
                KEY_UPLOAD,
                (stack.arn("kms", "key/*"),),
                {**via_s3(stack.region), "kms:EncryptionContext:aws:s3:arn": (data,)},
            ),
            Permission(("sagemaker:StartPipelineExecution",), (target.arn,)),
            Permission(("events:PutEvents",), (names.event_bus.arn,)),
            Permission(SQS_SEND, (dead_letters,)),
        )

    def _add_landing_bucket(self, stack: StackIntent, subscriber: SqsSubscriberConfig, days: int) -> str:
        """Add the landing bucket, its key, and the function that copies payloads. Return the function's ARN."""
        names = self._of(subscriber)
        key = stack.key("LandingKey")
        bucket = stack.bucket("LandingBucket", names.landing_bucket.name, key="LandingKey", days=days)
        role = stack.function(
            "LandingCopyFunction",
            names.copy_function,
            "copy_payload",
            role_name=names.copy_role.name,
            environment={
                "TRUSTED_STORES": _stores(names.handoff_stores),
                "LANDING_STORE": Json(names.landing_store.to_dict()),
            },
        )
        stack.function_alarms("Copy", "LandingCopyFunction")
        self._intent.allow(
            role,
            *self._read(subscriber),
            *self._read_staged(subscriber),
            Permission(S3_WRITE, (f"{bucket}/landed/*",)),
            Permission(("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*"), (key,)),
        )
        return names.copy_function.arn

    def _add_lambda_subscriber(self, stack: StackIntent, subscriber: LambdaSubscriberConfig) -> str:
        intent, home, names = self._intent, subscriber.account, self._of(subscriber)
        region, cluster = subscriber.region, names.cluster.name
        forgotten = days_until_forgotten(subscriber, payload_lifetime_days=self._days)
        function, services = names.consume_function.arn, self._sns(subscriber.region)
        for number, _ in enumerate(services):
            stack.add(f"InvokeFromTopic{number or ''}", "AWS::Lambda::Permission")
        reader = self._consume_function(
            stack,
            subscriber,
            "consume_topic",
            *(Grant(service, ("lambda:InvokeFunction",), (function,)) for service in services),
            environment={
                "CLUSTER_ARN": names.cluster.arn,
                "TASK_DEFINITION_ARN": stack.ref("TaskDefinition"),
                "CONTAINER": "application",
                "NETWORK": Json(self._add_task_network(stack, subscriber)),
                "IDEMPOTENCY_TABLE": names.idempotency_table.name,
                "IDEMPOTENCY_SECONDS": str(forgotten * 86_400),
            },
            on_failure="ConsumerDeadLetterQueue",
            concurrency=subscriber.maximum_concurrency,
        )
        stack.add(
            "IdempotencyTable",
            "AWS::DynamoDB::GlobalTable",
            removal=stack.stateful,
            Replicas=[{"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}, "Region": region}],
            TableName=names.idempotency_table.name,
        )
        self._add_failed_tasks_rule(stack, subscriber)
        task_role = stack.service_role("TaskRole", "ecs-tasks", name=names.task_role.name)
        execution_role = stack.service_role("TaskExecutionRole", "ecs-tasks")
        intent.allow(
            reader,
            Permission(("dynamodb:GetItem", "dynamodb:PutItem"), (names.idempotency_table.arn,)),
            Permission(("ecs:DescribeTasks",), (names.tasks_arn,)),
            Permission(("ecs:RunTask",), (stack.arn("ecs", f"task-definition/{cluster}:1"),)),
            Permission(
                ("iam:PassRole",),
                (task_role, execution_role),
                {"iam:PassedToService": ("ecs-tasks.amazonaws.com",)},
            ),
        )
        intent.allow(task_role, *self._read(subscriber), *self._read_staged(subscriber))
        intent.allow(execution_role, Permission(LOG, (log_group(region, home, f"/aws/ecs/{cluster}"),)))
        if repository := self._task_repository(subscriber):
            intent.allow(execution_role, Permission(ECR_PULL, (repository,)), ECR_LOGIN)
        if not subscriber.task.image:
            self._add_task_image(stack, names)
        self._add_task(stack, subscriber, task_role, execution_role)
        return reader

    def _add_task(
        self, stack: StackIntent, subscriber: LambdaSubscriberConfig, task_role: str, execution_role: str
    ) -> None:
        names, task = self._of(subscriber), subscriber.task
        stack.add("TaskCluster", "AWS::ECS::Cluster", ClusterName=names.cluster.name)
        stack.log_group("TaskLogs", f"/aws/ecs/{names.cluster.name}")
        logs = {
            "awslogs-group": f"/aws/ecs/{names.cluster.name}",
            "awslogs-region": stack.region,
            "awslogs-stream-prefix": Free("a part of the log stream's name"),
        }
        container = {
            "Environment": [{"Name": "TRUSTED_STORES", "Value": _stores(names.handoff_stores)}],
            "Essential": True,
            "Image": task.image or stack.image_uri("TaskImageRepository", "TaskImageBuild"),
            "LogConfiguration": {"LogDriver": "awslogs", "Options": logs},
            "Name": "application",
            **({"Command": list(task.command)} if task.command else {}),
        }
        stack.add(
            "TaskDefinition",
            "AWS::ECS::TaskDefinition",
            ContainerDefinitions=[container],
            Cpu=str(task.cpu),
            Memory=str(task.memory_mib),
            ExecutionRoleArn=execution_role,
            Family=names.cluster.name,
            TaskRoleArn=task_role,
        )

    def _add_failed_tasks_rule(self, stack: StackIntent, subscriber: LambdaSubscriberConfig) -> None:
        """Add the dead-letter queue, and the rule that writes each failed task to it."""
        names = self._of(subscriber)
        failed = {
            "source": ["aws.ecs"],
            "detail-type": ["ECS Task State Change"],
            "detail": {
                "clusterArn": [names.cluster.arn],
                "lastStatus": ["STOPPED"],
                "$or": _FAILURE,
            },
        }
        queue = names.dead_letter_queue.arn
        rule = stack.rule("TaskFailedRule", failed, {"Arn": queue, "InputPath": "$.detail"})
        written = Grant(_rules(rule), SQS_SEND, (queue,))
        days = subscriber.dead_letter_retention_days
        stack.queue("ConsumerDeadLetterQueue", names.dead_letter_queue, written, days=days)
        stack.rule_alarm("TaskFailuresLost", "TaskFailedRule")

    def _add_task_network(self, stack: StackIntent, subscriber: LambdaSubscriberConfig) -> dict[str, Any]:
        """Add the task's network, unless it exists. Return its configuration for `ecs:RunTask`."""
        network, construct = subscriber.network, "TaskNetwork"
        if network:
            vpc, subnets, groups = network.vpc_id, list(network.subnet_ids), list(network.security_group_ids)
        else:
            # The endpoint saves costs. The network has another way out, so the endpoint's policy restricts nothing.
            zones = {f"zone {index} of {stack.region}": f"10.0.{128 * index}.0/17" for index in (0, 1)}
            stack.vpc(construct, "Public", zones, any_principal())
            vpc, groups = stack.ref(f"{construct}Vpc"), []
            subnets = [stack.ref(f"{construct}VpcPublicSubnet{number}Subnet") for number in (1, 2)]
        if not groups:
            group = f"{construct}SecurityGroup"
            stack.add(group, "AWS::EC2::SecurityGroup", SecurityGroupEgress=ANYWHERE, VpcId=vpc)
            groups = [stack.att(group, "GroupId")]
        public = "DISABLED" if network and not network.assign_public_ip else "ENABLED"
        return {"subnets": subnets, "securityGroups": groups, "assignPublicIp": public}

    def _task_repository(self, subscriber: LambdaSubscriberConfig) -> str:
        """Return the ARN of the image's ECR repository, of any account, or "" for an image in another registry."""
        if not subscriber.task.image:
            return self._of(subscriber).task_repository.arn
        registry, _, name = subscriber.task.image.partition("@")[0].partition("/")
        match registry.split("."):
            case [account, "dkr", "ecr", region, *_]:
                return arn("ecr", region, account, f"repository/{name}")
        return ""

    def _add_task_image(self, stack: StackIntent, names: SubscriberNames) -> None:
        repository, build = "TaskImageRepository", "TaskImageBuild"
        stack.repository(repository, names.task_repository)
        stack.image_builder("TaskImageBuilder", names.task_build_function, [(build, repository)])
        stack.image_build(
            build,
            repository,
            "TaskImageBuilder",
            contexts="TaskImageBuildContext",
            options=["--file", "Dockerfile"],
            machine="ARM_CONTAINER",
            build_image=r"aws/codebuild/amazonlinux-aarch64-standard:[0-9.]+",
        )

    def _read(self, subscriber: SubscriberConfig) -> Iterator[Permission]:
        """Yield the permissions to read payloads, also from the replica in the subscriber's Region."""
        near = [names for region, names in self._publisher.replicas.items() if region == subscriber.region]
        for bucket in (self._publisher.payload_bucket, *near):
            yield Permission(("s3:GetObject",), (f"{bucket.bucket.arn}/{PAYLOADS}*",))
            # Another account does not know the key's ARN. The key's own policy decides.
            via_s3 = via_s3_for(bucket, *_copier(subscriber))
            yield Permission(("kms:Decrypt",), (bucket.key_arn_pattern,), via_s3)

    def _read_staged(self, subscriber: FunctionSubscriberConfig) -> Iterator[Permission]:
        staging = self._of(subscriber).staging_bucket.arn
        yield Permission(S3_READ, (staging, f"{staging}/inline/*"))

    def _sns(self, endpoint_region: str) -> list[Service]:
        principals = self._publisher.sns_principals(endpoint_region)
        return [Service(principal, sources=(self._publisher.topic.arn,)) for principal in principals]

    def _send(self, queue: Resource, region: str) -> Iterator[Grant]:
        """Yield the grants to SNS to deliver to a queue in a Region."""
        for service in self._sns(region):
            yield Grant(service, ("sqs:SendMessage",), (queue.arn,))


_TRACE_STATE_MACHINE = (
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
    *("xray:GetSamplingRules", "xray:GetSamplingTargets"),
)
