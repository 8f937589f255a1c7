"""Statement of intent: every resource of a deployment, its settings, and every permission. All others are findings.

It is written from the contract between accounts, not from the templates. `prover.py` compares the policies with it,
`table.py` the settings. `research_intent.py` has a research environment's part.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from access.inventory import Inventory, Statement
from access.research_intent import add_research
from access.stack_intent import (
    DELETED,
    REMOVE_MARKERS,
    TOPIC_ACTIONS,
    UNFINISHED,
    StackIntent,
    any_principal,
    lifecycle_rule,
)
from access.table import Json, Retries
from access.terms import (
    ECR_LOGIN,
    ECR_PULL,
    KEY_READ,
    KEY_UPLOAD,
    KEY_USE,
    KEY_WRITE,
    LOG,
    LOG_DELIVERY,
    S3_DELETE,
    S3_READ,
    S3_SEND,
    S3_UPLOAD,
    S3_WRITE,
    SQS_CONSUME,
    SQS_SEND,
    Account,
    Conditions,
    Intent,
    Permission,
    Roles,
    Service,
    arn,
    deny,
    grant,
    log_group,
    may,
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
from stacks.deployment.function_files import LAMBDAS
from stacks.deployment.names import OUTBOX, PAYLOADS, Place, ReplicaNames, Resource
from stacks.deployment.payload_lifetime import PUBLISH_DEAD_LETTER_DAYS, days_until_forgotten
from stacks.deployment.publisher import ARCHIVED_OVER_BYTES, SNS_DEFAULT_MAXIMUM_BYTES
from stacks.deployment.regions import FARGATE_ZONES, dns_suffix, known_regions
from stacks.deployment.state_machine import fill_placeholders, read_statements
from stacks.deployment.subscriber import DELIVERY_POLICY

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
_OWNERS_ACL = {"s3:x-amz-acl": ("bucket-owner-full-control",)}
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


def via_s3_for(bucket: PayloadBucketNames, subscriber: SubscriberConfig | None = None) -> Conditions:
    """Return the conditions of a key's use by S3 for the payload bucket or a replica.

    A copy to another Region uses the key through S3 of either Region.
    """
    regions = dict.fromkeys([bucket.place.region])
    if isinstance(subscriber, FunctionSubscriberConfig) and (subscriber.landing or subscriber.pipeline):
        regions[subscriber.region] = None
    services = tuple(value for region in regions for value in via_s3(region)["kms:ViaService"])
    return {"kms:ViaService": services, "kms:EncryptionContext:aws:s3:arn": (bucket.bucket.arn,)}


def _rules(*rules: str) -> Service:
    return Service("events.amazonaws.com", sources=rules)


def _stores(stores: Iterable[Store]) -> Json:
    return Json([store.to_dict() for store in stores])


class _Messaging:
    def __init__(self, deployment: Deployment, inventory: Inventory, intent: Intent) -> None:
        self._deployment, self._inventory, self._intent = deployment, inventory, intent
        self._names = Names(deployment)
        self._publisher = self._names.publisher
        self._bucket, self._topic = self._publisher.payload_bucket, self._publisher.topic
        self._region, self._days = deployment.publisher.region, deployment.publisher.payload_lifetime_days
        organization = deployment.organization
        self._in_organization: Conditions = {"aws:PrincipalOrgID": (organization,)} if organization else {}

    def add(self) -> None:
        self._add_publisher()
        for replica in self._publisher.replicas.values():
            self._add_replica(replica)
        for sender in self._deployment.senders:
            self._add_sender(sender)
        for subscriber in self._deployment.subscribers:
            if isinstance(subscriber, HttpsSubscriberConfig):
                self._add_https_subscriber(subscriber)
            else:
                self._add_consumer(subscriber)

    def _stack(self, name: str, place: Place, *, protected: bool = False) -> StackIntent:
        return StackIntent(self._intent, self._inventory, self._deployment, name, place, protected=protected)

    # The publisher's account -----------------------------------------------------------------------------------------

    def _add_publisher(self) -> None:
        names, settings = self._publisher, self._deployment.publisher
        stack, bucket = self._stack(names.stack, names.place, protected=True), self._bucket.bucket
        queue, function, dead_letters = "PublishDeadLetters", "Publish", names.dead_letter_queue
        prefix, senders = self._deployment.name, self._deployment.senders
        key = self._add_payload_bucket(
            stack,
            "PayloadBucket",
            self._bucket,
            self._deployment.subscribers,
            self._deployment.senders,
            NotificationConfiguration={"EventBridgeConfiguration": {"EventBridgeEnabled": True}},
            ReplicationConfiguration=self._replication(stack) if names.replicas else None,
        )
        self._add_topic(stack)
        self._add_event_bus(stack)
        detail = {"bucket": {"name": [bucket.name]}, "object": {"key": [{"prefix": OUTBOX}]}}
        uploads = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
        types = {"detail-type": list(settings.detail_types)} if settings.detail_types else {}
        rules = _rules(
            stack.invoking_rule("EventBusRule", {**_OF_APPLICATIONS, **types}, function, queue, names.event_bus.name),
            stack.invoking_rule("OutboxRule", uploads, function, queue),
        )
        stack.queue(queue, dead_letters, grant(rules, "sqs:SendMessage"), days=PUBLISH_DEAD_LETTER_DAYS)
        publish_role = stack.function(
            function,
            names.publish_function,
            "publish",
            grant(rules, "lambda:InvokeFunction"),
            environment={
                "TOPIC_ARN": self._topic.arn,
                "PAYLOAD_STORE": Json(names.store.to_dict()),
                "OUTBOX_PREFIX": OUTBOX,
                "SENDERS": Json(
                    {sender.name: f"{sender.region or self._region}:{sender.account}" for sender in senders}
                ),
                "SENDER_BUS": f"arn:{stack.partition}:events:{{place}}:event-bus/{prefix}-{{name}}-sender",
                "DEPLOYMENT": prefix,
                "DEAD_LETTER_QUEUE_URL": stack.ref(queue),
                "THRESHOLD_BYTES": str(settings.maximum_message_bytes),
                "OFFLOAD": settings.offload,
                "MAXIMUM_UPLOAD_BYTES": str(settings.outbox.maximum_bytes),
                "OUTBOX_ATTRIBUTES": Json(list(settings.outbox.attributes)),
            },
            role_name=names.publish_role.name,
            on_failure=queue,
        )
        payloads, outbox = f"{bucket.arn}/{PAYLOADS}*", f"{bucket.arn}/{OUTBOX}*"
        publish = (
            may("sns:Publish", self._topic.arn),
            may(S3_WRITE, payloads),
            may(S3_READ, bucket.arn, payloads),
            may(KEY_USE, key),
        )
        stack.allow(publish_role, *publish, may(f"{S3_READ} {S3_DELETE}", outbox), may(SQS_SEND, dead_letters.arn))
        stack.allow(publish_role, *stack.own_key(KEY_WRITE))
        if senders:
            buses = (self._names.senders[sender.name].event_bus.arn for sender in senders)
            stack.allow(publish_role, may("events:PutEvents", *buses))
        # Without s3:DeleteObjectVersion: the library deletes a payload that SNS rejected, but a published payload can
        # be restored.
        library = (*publish, may("s3:DeleteObject", payloads), may(S3_WRITE, outbox))
        role = stack.role("PublisherRole", Account(stack.account), *library, name=names.role.name)
        stack.output(EventBusArn=names.event_bus.arn, PayloadBucketName=bucket.name)
        stack.output(TopicArn=self._topic.arn, PublisherRoleArn=role)
        if names.replicas:
            stack.role("ReplicationRole", Service("s3.amazonaws.com"), *self._replicate(key))
        self._add_publisher_alarms(stack)

    def _add_topic(self, stack: StackIntent) -> None:
        settings, subscribers = self._deployment.publisher, self._deployment.subscribers
        endpoints = {subscriber.name: self._of(subscriber).endpoint for subscriber in subscribers}
        largest = settings.maximum_message_bytes
        left_out = largest <= SNS_DEFAULT_MAXIMUM_BYTES and stack.partition != "aws"
        stack.add(
            "Topic",
            "AWS::SNS::Topic",
            FifoTopic=settings.fifo or None,
            KmsMasterKeyId=stack.att("Key"),
            MaximumMessageSize=None if left_out else max(largest, SNS_DEFAULT_MAXIMUM_BYTES),
            TopicName=self._topic.name,
            DeliveryStatusLogging=self._delivery_log(stack, settings.delivery_log_percent),
        )
        stack.add("TopicPolicy", "AWS::SNS::TopicPolicy")
        subscriptions = []
        for subscriber in subscribers:
            own = {"sns:Protocol": (subscriber.kind,), "sns:Endpoint": (endpoints[subscriber.name],)}
            conditions = {**own, **self._in_organization}
            subscriptions.append(grant(Account(subscriber.account), "sns:Subscribe", when=conditions))
        others = deny("sns:Subscribe", "*", StringNotEquals={"sns:Endpoint": list(endpoints.values())})
        stack.protect(self._topic.arn, *subscriptions, tls=TOPIC_ACTIONS, denials=[others])

    def _delivery_log(self, stack: StackIntent, percent: int | None) -> list[dict[str, Any]] | None:
        """Add the topic's log of deliveries, and the role with which SNS writes it. Return the topic's property."""
        if percent is None:
            return None
        group = f"sns/{stack.region}/{stack.account}/{self._topic.name}"
        groups = {"TopicDelivered": group, "TopicFailed": f"{group}/Failure"}
        for construct, name in groups.items():
            stack.log_group(construct, name)
        write = may(LOG, *(log_group(stack.region, stack.account, name) for name in groups.values()))
        role = stack.role("TopicLogRole", Service("sns.amazonaws.com"), write)
        names = {"sqs": "sqs", "lambda": "lambda", "https": "http/s"}
        return [
            {
                "Protocol": protocol,
                "FailureFeedbackRoleArn": role,
                "SuccessFeedbackRoleArn": role,
                "SuccessFeedbackSampleRate": str(percent),
            }
            for protocol in sorted({names[subscriber.kind] for subscriber in self._deployment.subscribers})
        ]

    def _add_event_bus(self, stack: StackIntent) -> None:
        bus, types = self._publisher.event_bus, list(self._deployment.publisher.detail_types)
        senders = sorted({sender.account for sender in self._deployment.senders})
        stack.event_bus(bus, *(grant(Account(id), "events:PutEvents", when=self._in_organization) for id in senders))
        previous = ""
        for account in senders:
            policy, name = f"EventBusPutEventsFrom{account}", f"{self._deployment.name}-{account}"
            stack.add(policy, "AWS::Events::EventBusPolicy", after=previous, StatementId=name)
            previous = policy
        unpublished = {"anything-but": types} if types else {"exists": False}
        stack.add(
            "EventBusArchive",
            "AWS::Events::Archive",
            removal=stack.stateful,
            ArchiveName=self._publisher.archive.name,
            EventPattern={**_OF_APPLICATIONS, "detail-type": [unpublished]},
            RetentionDays=self._deployment.publisher.archive_days,
            SourceArn=bus.arn,
        )

    def _add_publisher_alarms(self, stack: StackIntent) -> None:
        topic = {"TopicName": self._topic.name}
        shown = [
            (name, place)
            for region, replica in self._publisher.replicas.items()
            for name in self._replication_dimensions(replica).values()
            for place in (region, self._region)
        ]
        stack.alarms(shown=shown)
        stack.queue_alarm("PublishDeadLetters", "PublishDeadLetters")
        stack.function_alarms("Publish", "Publish", ["PayloadCorrupt", "ReportLost"], asynchronous=True)
        for name, metric in (("NotDelivered", "Redriven"), ("DeliveryLost", "FailedToRedrive")):
            stack.alarm(name, f"AWS/SNS NumberOfNotifications{metric}ToDlq", topic)
        if subscribed := sum(subscriber.subscribed for subscriber in self._deployment.subscribers):
            counts = {"filtered": "FilteredOut", "delivered": "Delivered", "failed": "Failed"}
            attempts = " + ".join(f"FILL({count}, 0)" for count in counts)
            missing = f"IF(published > 0 AND {attempts} <= published * {subscribed - 0.5}, 1, 0)"
            metrics = {"published": "MessagesPublished"} | {id: f"Notifications{counts[id]}" for id in counts}
            sums = {id: (f"AWS/SNS NumberOf{metric}", "Sum", topic) for id, metric in metrics.items()}
            stack.expression_alarm("SubscriptionMissing", missing, sums, periods=3, period=3600, DatapointsToAlarm=2)
        lost = "InvocationsFailedToBeSentToDlq"
        stack.rule_alarm("EventsLost", "EventBusRule", lost, self._publisher.event_bus.name)
        stack.rule_alarm("UploadsLost", "OutboxRule", lost)
        for region, replica in self._publisher.replicas.items():
            failed = "AWS/S3 OperationsFailedReplication"
            stack.alarm(f"{region}-NotReplicated", failed, self._replication_dimensions(replica))

    def _add_replica(self, replica: ReplicaNames) -> None:
        """Add the stack with the replica of a Region, for the subscribers in this Region."""
        stack = self._stack(replica.stack, replica.place, protected=True)
        near = [subscriber for subscriber in self._deployment.subscribers if subscriber.region == replica.place.region]
        key = self._add_payload_bucket(stack, "ReplicaBucket", replica, near, ())
        stack.add("KeyAlias", "AWS::KMS::Alias", AliasName=replica.key_alias.name, TargetKeyId=key)
        stack.alarms(dashboard=False)
        latency, dimensions = "AWS/S3 ReplicationLatency", self._replication_dimensions(replica)
        stack.alarm("ReplicaLate", latency, dimensions, statistic="Maximum", threshold=3600)

    def _replication_dimensions(self, replica: ReplicaNames) -> dict[str, str]:
        source, destination = self._bucket.bucket.name, replica.bucket.name
        return {"DestinationBucket": destination, "RuleId": replica.replication_rule, "SourceBucket": source}

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
        objects, key_grants, members = [], [], self._in_organization
        for subscriber in subscribers:
            roles = Roles(subscriber.account, tuple(role.arn for role in self._of(subscriber).reader_roles))
            objects.append(grant(roles, "s3:GetObject", f"{bucket.bucket.arn}/{PAYLOADS}*", when=members))
            key_grants.append(grant(roles, "kms:Decrypt", when={**via_s3_for(bucket, subscriber), **members}))
        for sender in senders:
            names = self._names.senders[sender.name]
            roles = Roles(sender.account, (names.role.arn,))
            folder = f"{bucket.bucket.arn}/{names.outbox}*"
            objects.append(grant(roles, S3_SEND, folder, when=members, if_present=_OWNERS_ACL))
            key_grants.append(grant(roles, KEY_UPLOAD, when={**via_s3_for(bucket), **members}))
        key = stack.att("Key")
        denials = tuple(self._unaccepted_uploads(key)) if construct == "PayloadBucket" else ()
        rules = [
            lifecycle_rule("ExpirePayloads", Prefix=PAYLOADS, ExpirationInDays=self._days, old_days=1),
            *self._archiving_rule(),
            REMOVE_MARKERS,
            lifecycle_rule("AbortUnfinishedUploads", **UNFINISHED),
        ]
        if construct == "PayloadBucket":
            days = self._days + PUBLISH_DEAD_LETTER_DAYS
            rules.append(lifecycle_rule("ExpireUploads", Prefix=OUTBOX, ExpirationInDays=days, old_days=self._days))
        options: dict[str, Any] = {"key": "Key", "lifecycle": rules, "versioned": True, "denials": denials}
        stack.bucket(construct, bucket.bucket.name, *objects, **options, **given)
        return stack.key("Key", *key_grants)

    def _archiving_rule(self) -> Iterator[dict[str, Any]]:
        """Yield the rule that moves large payloads to a storage class that can be read at once."""
        if days := self._deployment.publisher.glacier_after_days:
            transition = {"StorageClass": "GLACIER_IR", "TransitionInDays": days}
            size = {"ObjectSizeGreaterThan": ARCHIVED_OVER_BYTES}
            yield lifecycle_rule("ArchivePayloads", Prefix=PAYLOADS, Transitions=[transition], **size)

    def _unaccepted_uploads(self, key: str) -> Iterator[Statement]:
        """Yield the uploads that the bucket denies: those that S3 could not copy, and those in another's name."""
        bucket, put, encryption = self._bucket.bucket.arn, "s3:PutObject", "s3:x-amz-server-side-encryption"
        yield deny(put, f"{bucket}/{OUTBOX}*", StringEquals={"s3:x-amz-storage-class": ["GLACIER", "DEEP_ARCHIVE"]})
        other_key: dict[str, Any] = {
            "StringEquals": {encryption: ["aws:kms", "aws:kms:dsse"]},
            "StringNotEquals": {f"{encryption}-aws-kms-key-id": key},
        }
        yield deny(put, f"{bucket}/{OUTBOX}*", **other_key)
        own = [names for names in self._names.senders.values() if names.place.account == self._publisher.place.account]
        if own:
            roles = {"aws:PrincipalArn": [names.role.arn for names in own]}
            yield deny(put, *(f"{bucket}/{names.outbox}*" for names in own), ArnNotEquals=roles)

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
        source, read = self._bucket.bucket.arn, "s3:GetObjectVersion"
        yield may("s3:GetReplicationConfiguration s3:ListBucket", source)
        yield may(f"{read}ForReplication {read}Acl {read}Tagging", f"{source}/{PAYLOADS}*")
        yield may("kms:Decrypt", key, when=via_s3_for(self._bucket))
        for replica in self._publisher.replicas.values():
            yield may("s3:ReplicateObject s3:ReplicateTags", f"{replica.bucket.arn}/{PAYLOADS}*")
            uses = "kms:Decrypt kms:Encrypt kms:GenerateDataKey"
            yield may(uses, replica.key_arn_pattern, when=via_s3_for(replica))

    # A sender's account ----------------------------------------------------------------------------------------------

    def _add_sender(self, sender: SenderConfig) -> None:
        names = self._names.senders[sender.name]
        stack = self._stack(names.stack, names.place)
        role = stack.role(
            "Role",
            Account(sender.account),
            may("events:PutEvents", self._publisher.event_bus.arn),
            may(S3_SEND, f"{self._bucket.bucket.arn}/{names.outbox}*", if_present=_OWNERS_ACL),
            may(KEY_UPLOAD, self._bucket.key_arn_pattern, when=via_s3_for(self._bucket)),
            name=names.role.name,
        )
        # Only the publish function puts events about the sender's messages.
        reporter = Roles(self._publisher.place.account, (self._publisher.publish_role.arn,))
        stack.event_bus(names.event_bus, grant(reporter, "events:PutEvents", when=self._in_organization))
        stack.add("EventBusPolicy", "AWS::Events::EventBusPolicy", StatementId=names.event_bus.name)
        stack.output(SenderRoleArn=role, EventBusArn=self._publisher.event_bus.arn, ReportBusArn=names.event_bus.arn)
        stack.output(OutboxUri=f"s3://{self._bucket.bucket.name}/{names.outbox}")

    # A subscriber's account ------------------------------------------------------------------------------------------

    def _of(self, subscriber: SubscriberConfig) -> SubscriberNames:
        return self._names.subscribers[subscriber.name]

    def _add_subscription(self, subscriber: SubscriberConfig, region: str) -> StackIntent:
        """Add the subscription, and the queue for undelivered messages in the topic's Region. Return the stack."""
        names = self._of(subscriber)
        stack = self._stack(names.stack, Place(subscriber.account, region))
        stack.alarms()
        if subscriber.subscribed:
            stack.add(
                "Subscription",
                "AWS::SNS::Subscription",
                after="Queue(Policy)?|SubscriptionUndeliveredQueue(Policy)?|InvokeFromTopic[0-9]?",
                TopicArn=self._topic.arn,
                Region=self._region,
                Protocol=subscriber.kind,
                Endpoint=names.endpoint,
                # SNS signs only its envelope, so that posts to an endpoint are not raw.
                RawMessageDelivery=True if subscriber.kind == "sqs" else None,
                DeliveryPolicy=DELIVERY_POLICY if subscriber.kind == "https" else None,
                FilterPolicy=json.loads(subscriber.filter_policy) if subscriber.filter_policy else None,
                FilterPolicyScope={"attributes": "MessageAttributes", "body": "MessageBody"}[
                    subscriber.filter_policy_scope
                ],
                RedrivePolicy={"deadLetterTargetArn": names.undelivered_queue.arn},
            )
        owner, construct, queue = stack, "SubscriptionUndeliveredQueue", names.undelivered_queue
        if region != self._region:
            owner = self._stack(names.undelivered_stack, Place(subscriber.account, self._region))
            construct = "UndeliveredQueue"
            owner.alarms(dashboard=False)
        owner.queue(construct, queue, *self._sns(self._region), days=subscriber.dead_letter_retention_days)
        owner.queue_alarm("Undelivered", construct)
        return stack

    def _add_https_subscriber(self, subscriber: HttpsSubscriberConfig) -> None:
        stack = self._add_subscription(subscriber, self._region)
        own = may(SQS_CONSUME, self._of(subscriber).undelivered_queue.arn)
        self._add_reader(stack, subscriber, "Reader", own, *stack.own_key("kms:Decrypt"))
        stack.output(TopicArn=self._topic.arn, UndeliveredQueueUrl=stack.ref("SubscriptionUndeliveredQueue"))

    def _add_reader(
        self,
        stack: StackIntent,
        subscriber: HttpsSubscriberConfig | SqsSubscriberConfig,
        construct: str,
        *own: Permission,
    ) -> None:
        """Add the role of the subscriber's own service."""
        home, names = subscriber.account, self._of(subscriber)
        principals = Roles(home, subscriber.reader_principals) if subscriber.reader_principals else Account(home)
        role = stack.role(construct, principals, *self._read(subscriber), *own, name=names.reader_role.name)
        stack.output(ReaderRoleArn=role, TrustedStores=_stores(names.trusted_stores))

    def _add_consumer(self, subscriber: FunctionSubscriberConfig) -> None:
        names = self._of(subscriber)
        stack = self._add_subscription(subscriber, subscriber.region)
        stack.queue_alarm("DeadLetters", "ConsumerDeadLetterQueue")
        if isinstance(subscriber, SqsSubscriberConfig):
            self._add_queue(stack, subscriber)
        send = [may(SQS_SEND, names.dead_letter_queue.arn), *stack.own_key(KEY_WRITE)]
        own = [*self._read(subscriber), *send]
        environment: dict[str, Any] = {"APPLICATION": subscriber.application}
        match subscriber.application:
            case "state_machine":
                environment["STATE_MACHINE_ARN"] = names.state_machine.arn
                own += self._add_state_machine_application(stack, subscriber)
            case "ecs_task":
                variables, permissions = self._add_ecs_task_application(stack, subscriber)
                environment |= variables
                own += permissions
            case "function" | "queue":
                self._add_dead_letter_queue(stack, subscriber)
        if subscriber.hands_off:
            key = stack.use_own_key()
            inline = f"{names.staging_bucket.arn}/inline/*"
            overwriting = deny("s3:PutObject", inline, Null={"s3:if-none-match": "true"})
            rules = [lifecycle_rule("ExpirePayloads", ExpirationInDays=self._days, **UNFINISHED)]
            options: dict[str, Any] = {"key": key, "lifecycle": rules, "denials": (overwriting,)}
            staging = stack.bucket("ConsumerStagingBucket", names.staging_bucket.name, **options)
            environment["STAGING_STORE"] = Json(names.staging_store.to_dict())
            own += [may(f"{S3_WRITE} {S3_READ}", inline), may(S3_READ, staging)]
            own += stack.own_key(KEY_READ)
        if isinstance(subscriber, LambdaSubscriberConfig):
            stack.allow(self._add_topic_consumer(stack, subscriber, environment), *own)
        elif subscriber.is_polled:
            consume = may(SQS_CONSUME, names.queue.arn)
            self._add_reader(stack, subscriber, "ConsumerFunctionRole", consume, *send)
            received = ("AWS/SQS NumberOfMessagesReceived", "Sum", {"QueueName": names.queue.name})
            self._waiting_alarm(stack, "ServiceStopped", names.queue, received)
            stack.output(QueueUrl=stack.ref("Queue"), DeadLetterQueueUrl=stack.ref("ConsumerDeadLetterQueue"))
        else:
            stack.allow(self._add_queue_consumer(stack, subscriber, environment), *own)

    def _add_dead_letter_queue(
        self, stack: StackIntent, subscriber: FunctionSubscriberConfig, *grants: Permission
    ) -> None:
        queue, days = self._of(subscriber).dead_letter_queue, subscriber.dead_letter_retention_days
        stack.queue("ConsumerDeadLetterQueue", queue, *grants, days=days)

    def _consume_function(
        self,
        stack: StackIntent,
        subscriber: FunctionSubscriberConfig,
        package: str,
        *grants: Permission,
        environment: Mapping[str, Any],
        **options: Any,
    ) -> str:
        """Add the consume function and its alarms. Return its role's ARN."""
        names, construct, code = self._of(subscriber), "ConsumerFunction", subscriber.code
        throttled = subscriber.kind == "sqs" or not options.get("concurrency")
        stack.function_alarms("Consume", construct, _ERRORS, asynchronous="on_failure" in options, throttled=throttled)
        options["environment"] = {
            "TRUSTED_STORES": _stores(names.trusted_stores),
            "DEAD_LETTER_QUEUE_URL": stack.ref("ConsumerDeadLetterQueue"),
            **environment,
            **({"PROCESS_SECONDS": str(code.timeout_seconds), **code.environment} if code else {}),
        }
        options |= {"role_name": names.reader_role.name, "own_code": code.path if code else None}
        options |= {"memory_mib": code.memory_mib} if code else {}
        options |= {"seconds": subscriber.function_timeout_seconds, "shared": ("claim_check", "shared", "consume")}
        role = stack.function(construct, names.consume_function, package, *grants, **options)
        if code and code.permissions:
            self._intent.stated[role] = tuple(read_statements(code.permissions))
        return role

    def _waiting_alarm(
        self, stack: StackIntent, name: str, queue: Resource, taken: tuple[str, str, Mapping[str, str]]
    ) -> None:
        """Add the alarm on visible messages of which none is taken."""
        number, by = "AWS/SQS ApproximateNumberOfMessages", {"QueueName": queue.name}
        metrics = {"visible": (f"{number}Visible", "Maximum", by), "hidden": (f"{number}NotVisible", "Minimum", by)}
        expression = "IF(visible > 0 AND hidden < 1 AND FILL(taken, 0) < 1, 1, 0)"
        stack.expression_alarm(name, expression, {**metrics, "taken": taken}, periods=2)

    def _add_queue(self, stack: StackIntent, subscriber: SqsSubscriberConfig) -> None:
        names, receives = self._of(subscriber), subscriber.maximum_receives
        blocked = subscriber.batch_size if self._deployment.publisher.fifo and subscriber.application != "queue" else 1
        received = min(1000, receives * blocked)
        stack.queue(
            "Queue",
            names.queue,
            *self._sns(subscriber.region),
            days=subscriber.queue_retention_days,
            VisibilityTimeout=subscriber.visibility_timeout,
            RedrivePolicy={"deadLetterTargetArn": names.dead_letter_queue.arn, "maxReceiveCount": received},
        )
        age, late = "AWS/SQS ApproximateAgeOfOldestMessage", receives * subscriber.visibility_timeout
        stack.alarm("QueueLate", age, {"QueueName": names.queue.name}, statistic="Maximum", threshold=late)

    def _add_queue_consumer(
        self, stack: StackIntent, subscriber: SqsSubscriberConfig, environment: Mapping[str, Any]
    ) -> str:
        """Add the function that polls the queue. Return its role's ARN."""
        names = self._of(subscriber)
        reader = self._consume_function(
            stack,
            subscriber,
            "consume_queue",
            environment={"MAXIMUM_RECEIVES": str(subscriber.maximum_receives), **environment},
            concurrency=subscriber.maximum_concurrency if self._deployment.platform.reserved_concurrency else None,
        )
        stack.allow(reader, may(SQS_CONSUME, names.queue.arn))
        invocations = ("AWS/Lambda Invocations", "Sum", {"FunctionName": stack.ref("ConsumerFunction")})
        self._waiting_alarm(stack, "ConsumeStopped", names.queue, invocations)
        stack.add(
            stack.find(r"ConsumerFunctionSqsEventSource\w+Queue[0-9A-F]{8}"),
            "AWS::Lambda::EventSourceMapping",
            BatchSize=subscriber.batch_size,
            EventSourceArn=names.queue.arn,
            FunctionName=names.consume_function.name,
            ScalingConfig={"MaximumConcurrency": subscriber.maximum_concurrency},
        )
        return reader

    def _add_topic_consumer(
        self, stack: StackIntent, subscriber: LambdaSubscriberConfig, environment: Mapping[str, Any]
    ) -> str:
        """Add the function that SNS invokes. Return its role's ARN."""
        invocations = self._sns(subscriber.region, "lambda:InvokeFunction")
        for number, _ in enumerate(invocations):
            stack.add(f"InvokeFromTopic{number or ''}", "AWS::Lambda::Permission")
        function = {"FunctionName": stack.ref("ConsumerFunction")}
        metrics = {"throttles": ("Throttles", "Sum"), "taken": ("ConcurrentExecutions", "Maximum")}
        stack.expression_alarm(
            "ConsumeStopped",
            "IF(throttles > 0 AND FILL(taken, 0) < 1, 1, 0)",
            {id: (f"AWS/Lambda {metric}", statistic, function) for id, (metric, statistic) in metrics.items()},
            periods=2,
        )
        return self._consume_function(
            stack,
            subscriber,
            "consume_topic",
            *invocations,
            environment=environment,
            on_failure="ConsumerDeadLetterQueue",
            concurrency=subscriber.maximum_concurrency,
        )

    def _add_state_machine_application(
        self, stack: StackIntent, subscriber: FunctionSubscriberConfig
    ) -> Iterator[Permission]:
        """Add the state machine and the bus. Yield the consume function's permissions for them."""
        names = self._of(subscriber)
        machine, bus = names.state_machine.arn, names.event_bus
        self._add_dead_letter_queue(stack, subscriber)
        stack.event_bus(bus)
        stack.output(EventBusArn=bus.arn)
        stack.service_role("EventBusForwardRole", "events", may("events:PutEvents", bus.arn))
        unsuccessful = {"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": [machine]}
        self._forward(stack, "Failed", "states", "Step Functions Execution Status Change", unsuccessful)
        stack.rule_alarm("ExecutionEventsLost", "EventBusFailedRule")
        self._add_state_machine(stack, subscriber)
        if subscriber.pipeline and self._names.research:
            self._add_pipeline_trigger(stack, subscriber, subscriber.pipeline, self._names.research)
        yield may("states:StartExecution", machine)
        yield may("states:DescribeExecution", f"{machine.replace(':stateMachine:', ':execution:')}:*")

    def _forward(self, stack: StackIntent, name: str, source: str, detail_type: str, detail: dict[str, Any]) -> None:
        """Add a rule that forwards events of a service from the account's default bus to the subscriber's."""
        pattern = {"source": [f"aws.{source}"], "detail-type": [detail_type], "detail": detail}
        target = {"Arn": stack.att("EventBus"), "RoleArn": stack.att("EventBusForwardRole")}
        stack.rule(f"EventBus{name}Rule", pattern, target)

    def _add_state_machine(self, stack: StackIntent, subscriber: FunctionSubscriberConfig) -> None:
        names, settings = self._of(subscriber), subscriber.state_machine
        bus, machine = names.event_bus, names.state_machine
        trace = "xray:PutTraceSegments xray:PutTelemetryRecords xray:GetSamplingRules xray:GetSamplingTargets"
        # Log delivery and traces have no narrower resource.
        own = may("events:PutEvents", bus.arn), may(f"{LOG_DELIVERY} {trace}", "*")
        role = stack.service_role("StateMachineRole", "states", *own)
        values = {
            "StateMachineArn": machine.arn,
            "ExecutionArnPrefix": machine.arn.replace(":stateMachine:", ":execution:"),
            "EventBusName": bus.name,
            "EventBusArn": bus.arn,
            "StagingBucketArn": names.staging_bucket.arn,
        }
        entry = {
            "Detail.$": "$",
            "DetailType": "Payload processed",
            "EventBusName": bus.arn,
            "Source": self._deployment.name,
        }
        states: dict[str, Any] = {
            "PublishResult": {
                "End": True,
                "Retry": Retries(),
                "Type": "Task",
                "ResultPath": None,
                "Resource": f"arn:{stack.partition}:states:::events:putEvents",
                "Parameters": {"Entries": [entry]},
            }
        }
        if subscriber.landing:
            copy_function = self._add_landing_bucket(stack, subscriber, subscriber.landing.retention_days)
            stack.allow(role, may("lambda:InvokeFunction", copy_function, f"{copy_function}:*"))
            values |= {
                "CopyFunctionArn": copy_function,
                "LandingBucket": names.landing_bucket.name,
                "LandingBucketArn": names.landing_bucket.arn,
                "LandingKeyArn": stack.att("LandingKey"),
            }
            states["CopyPayload"] = {
                "Next": "PublishResult",
                "Retry": Retries(),
                "Type": "Task",
                "ResultPath": "$.landed",
                "Resource": copy_function,
            }
        definition: Any = {"StartAt": "CopyPayload" if subscriber.landing else "PublishResult", "States": states}
        if settings:
            stack.allow(role, *stack.own_key("kms:Decrypt"))
            definition = json.loads(fill_placeholders(settings.definition, values))
            if settings.permissions:
                self._intent.stated[role] = tuple(read_statements(settings.permissions, values))
        stack.log_group("StateMachineLogs", f"/aws/vendedlogs/states/{machine.name}")
        stack.state_machine(
            "StateMachine",
            "StateMachineLogs",
            role,
            Json(definition),
            removal=DELETED,
            StateMachineName=machine.name,
            StateMachineType="STANDARD",
            TracingConfiguration={"Enabled": True},
        )
        for end in ("Failed", "TimedOut"):
            stack.alarm(f"Executions{end}", f"AWS/States Executions{end}", {"StateMachineArn": machine.arn})

    def _add_pipeline_trigger(
        self, stack: StackIntent, subscriber: FunctionSubscriberConfig, pipeline: str, research: ResearchNames
    ) -> None:
        """Add the function that copies payloads to the pipeline's prefix of the data bucket and starts the pipeline."""
        names, function, queue = self._of(subscriber), "PipelineTriggerFunction", "PipelineTriggerDeadLetterQueue"
        bus, target, store = names.event_bus, research.pipeline(pipeline), research.data_store(pipeline)
        processed = {"source": [self._deployment.name], "detail-type": ["Payload processed"]}
        rule = _rules(stack.invoking_rule("PipelineTriggerProcessedRule", processed, function, queue, bus.name))
        days = subscriber.dead_letter_retention_days
        dead_letters = names.pipeline_trigger_dead_letter_queue
        stack.queue(queue, dead_letters, grant(rule, "sqs:SendMessage"), days=days)
        role = stack.function(
            function,
            names.pipeline_trigger_function,
            "start_pipeline",
            grant(rule, "lambda:InvokeFunction"),
            role_name=names.pipeline_trigger_role.name,
            environment={
                "TRUSTED_STORES": _stores(names.handoff_stores),
                "DATA_STORE": Json(store.to_dict()),
                "PIPELINE": target.name,
                "EVENT_BUS": bus.name,
            },
            on_failure=queue,
        )
        stack.function_alarms("PipelineTrigger", function, asynchronous=True)
        stack.queue_alarm("PipelineTriggerDeadLetters", queue)
        ends = ["Succeeded", "Failed", "Stopped"]
        finished = {"pipelineArn": [target.arn], "currentPipelineExecutionStatus": ends}
        status = "SageMaker Model Building Pipeline Execution Status Change"
        self._forward(stack, "Execution", "sagemaker", status, finished)
        stack.rule_alarm("PipelineEventsLost", "EventBusExecutionRule")
        data = research.data_bucket.arn
        for_data = {**via_s3(stack.region), "kms:EncryptionContext:aws:s3:arn": (data,)}
        stack.allow(
            role,
            *self._read(subscriber),
            self._read_staged(subscriber),
            may(S3_UPLOAD, f"{data}/{store.prefix}*"),
            # The key is in the research stack, so its ARN is unknown here.
            may(KEY_UPLOAD, stack.arn("kms", "key/*"), when=for_data),
            may("sagemaker:StartPipelineExecution", target.arn),
            may("events:PutEvents", bus.arn),
            may(SQS_SEND, dead_letters.arn),
            *stack.own_key(KEY_USE),
        )

    def _add_landing_bucket(self, stack: StackIntent, subscriber: FunctionSubscriberConfig, days: int) -> str:
        """Add the landing bucket, its key, and the function that copies payloads. Return the function's ARN."""
        names, function = self._of(subscriber), "LandingCopyFunction"
        stores = {
            "TRUSTED_STORES": _stores(names.handoff_stores),
            "LANDING_STORE": Json(names.landing_store.to_dict()),
        }
        key = stack.key("LandingKey")
        rules = [lifecycle_rule("ExpireLanded", ExpirationInDays=days, **UNFINISHED)]
        bucket = stack.bucket("LandingBucket", names.landing_bucket.name, key="LandingKey", lifecycle=rules)
        stack.output(LandingBucketName=names.landing_bucket.name)
        options: dict[str, Any] = {"role_name": names.copy_role.name, "environment": stores}
        role = stack.function(function, names.copy_function, "copy_payload", **options)
        stack.function_alarms("Copy", function)
        stack.allow(
            role,
            *self._read(subscriber),
            self._read_staged(subscriber),
            may(S3_WRITE, f"{bucket}/landed/*"),
            may(KEY_WRITE, key),
            *stack.own_key(KEY_READ),
        )
        return names.copy_function.arn

    def _add_ecs_task_application(
        self, stack: StackIntent, subscriber: FunctionSubscriberConfig
    ) -> tuple[dict[str, Any], tuple[Permission, ...]]:
        """Add the task and the table. Return the consume function's variables and permissions for them."""
        names, region = self._of(subscriber), subscriber.region
        cluster, table = names.cluster, names.idempotency_table
        forgotten = days_until_forgotten(subscriber, payload_lifetime_days=self._days)
        recovery = {"PointInTimeRecoveryEnabled": True}
        replicas = [{"PointInTimeRecoverySpecification": recovery, "Region": region, "Tags": stack.tags}]
        given: dict[str, Any] = {"removal": stack.stateful, "Replicas": replicas, "TableName": table.name}
        stack.add("IdempotencyTable", "AWS::DynamoDB::GlobalTable", **given)
        self._add_failed_tasks_rule(stack, subscriber)
        staged = self._read_staged(subscriber)
        task = stack.service_role("TaskRole", "ecs-tasks", *self._read(subscriber), staged, name=names.task_role.name)
        stack.allow(task, *stack.own_key(KEY_READ))
        log = may(LOG, log_group(region, stack.account, f"/aws/ecs/{cluster.name}"))
        execution = stack.role("TaskExecutionRole", Service("ecs-tasks.amazonaws.com"), log)
        if repository := self._task_repository(subscriber):
            stack.allow(execution, may(ECR_PULL, repository), ECR_LOGIN)
        if folder := subscriber.task.folder:
            self._add_task_image(stack, names, folder)
        self._add_task(stack, subscriber, task, execution)
        environment = {
            "CLUSTER_ARN": cluster.arn,
            "TASK_DEFINITION_ARN": stack.ref("TaskDefinition"),
            "CONTAINER": "application",
            "NETWORK": Json(self._add_task_network(stack, subscriber)),
            "IDEMPOTENCY_TABLE": table.name,
            "IDEMPOTENCY_SECONDS": str(forgotten * 86_400),
        }
        return environment, (
            may("dynamodb:GetItem dynamodb:PutItem", table.arn),
            may("ecs:DescribeTasks", names.tasks_arn),
            may("ecs:RunTask", stack.arn("ecs", f"task-definition/{cluster.name}:1")),
            may("iam:PassRole", task, execution, when={"iam:PassedToService": ("ecs-tasks.amazonaws.com",)}),
        )

    def _add_task(
        self, stack: StackIntent, subscriber: FunctionSubscriberConfig, role: str, execution_role: str
    ) -> None:
        names, task = self._of(subscriber), subscriber.task
        cluster, group = names.cluster.name, f"/aws/ecs/{names.cluster.name}"
        stack.add("TaskCluster", "AWS::ECS::Cluster", ClusterName=cluster)
        stack.log_group("TaskLogs", group)
        logs = {"awslogs-group": group, "awslogs-region": stack.region, "awslogs-stream-prefix": "task"}
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
            Family=cluster,
            TaskRoleArn=role,
        )

    def _add_failed_tasks_rule(self, stack: StackIntent, subscriber: FunctionSubscriberConfig) -> None:
        """Add the dead-letter queue, and the rule that writes each failed task to it."""
        names, queue = self._of(subscriber), self._of(subscriber).dead_letter_queue
        detail = {"clusterArn": [names.cluster.arn], "lastStatus": ["STOPPED"], "$or": _FAILURE}
        failed = {"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"], "detail": detail}
        rule = _rules(stack.rule("TaskFailedRule", failed, {"Arn": queue.arn, "InputPath": "$.detail"}))
        self._add_dead_letter_queue(stack, subscriber, grant(rule, "sqs:SendMessage"))
        stack.rule_alarm("TaskFailuresLost", "TaskFailedRule")

    def _add_task_network(self, stack: StackIntent, subscriber: FunctionSubscriberConfig) -> dict[str, Any]:
        """Add the task's network, unless it exists. Return its configuration for `ecs:RunTask`."""
        network, construct = subscriber.network, "TaskNetwork"
        if network:
            vpc, subnets, groups = network.vpc_id, list(network.subnet_ids), list(network.security_group_ids)
        else:
            # The endpoint saves costs. The network has another way out, so the endpoint's policy restricts nothing.
            selected = FARGATE_ZONES.get(stack.region, [f"zone {index} of {stack.region}" for index in (0, 1)])
            zones = {zone: f"10.0.{128 * index}.0/17" for index, zone in enumerate(selected)}
            stack.vpc(construct, "Public", zones, any_principal())
            vpc, groups = stack.ref(f"{construct}Vpc"), []
            subnets = [stack.ref(f"{construct}VpcPublicSubnet{number}Subnet") for number in (1, 2)]
        groups = groups or [stack.security_group(f"{construct}SecurityGroup", vpc)]
        public = "DISABLED" if network and not network.assign_public_ip else "ENABLED"
        return {"subnets": subnets, "securityGroups": groups, "assignPublicIp": public}

    def _task_repository(self, subscriber: FunctionSubscriberConfig) -> str:
        """Return the ARN of the image's ECR repository, of any account, or "" for an image in another registry."""
        if not subscriber.task.image:
            return self._of(subscriber).task_repository.arn
        registry, _, name = subscriber.task.image.partition("@")[0].partition("/")
        match registry.split("."):
            case [account, "dkr", "ecr", region, *domain] if region in known_regions():
                own = ".".join(domain) == dns_suffix(region)
                return arn("ecr", region, account, f"repository/{name}") if own else ""
        return ""

    def _add_task_image(self, stack: StackIntent, names: SubscriberNames, folder: Path) -> None:
        repository, build, builder = "TaskImageRepository", "TaskImageBuild", "TaskImageBuilder"
        stack.repository(repository, names.task_repository, 10, key=stack.use_own_key())
        stack.image_builder(builder, names.task_build_function, [(build, repository)])
        stack.image_build(
            build,
            repository,
            builder,
            contexts="TaskImageBuildContext",
            folders=[folder, LAMBDAS],
            machine="ARM_CONTAINER",
            build_image="aws/codebuild/amazonlinux-aarch64-standard:3.0",
        )

    def _read(self, subscriber: SubscriberConfig) -> Iterator[Permission]:
        """Yield the permissions to read payloads, also from the replica in the subscriber's Region."""
        near = [names for region, names in self._publisher.replicas.items() if region == subscriber.region]
        for bucket in (self._bucket, *near):
            yield may("s3:GetObject", f"{bucket.bucket.arn}/{PAYLOADS}*")
            # The key's ARN is unknown in another account. The key's own policy decides.
            yield may("kms:Decrypt", bucket.key_arn_pattern, when=via_s3_for(bucket, subscriber))

    def _read_staged(self, subscriber: FunctionSubscriberConfig) -> Permission:
        staging = self._of(subscriber).staging_bucket.arn
        return may(S3_READ, staging, f"{staging}/inline/*")

    def _sns(self, endpoint_region: str, actions: str = "sqs:SendMessage") -> list[Permission]:
        """Return the grants to SNS to deliver to a queue or a function in a Region."""
        principals = self._publisher.sns_principals(endpoint_region)
        return [grant(Service(name, sources=(self._topic.arn,)), actions) for name in principals]
