"""The publisher's account: topic, payload bucket, event bus, and the function that publishes.

events  -> bus    -> rule -> publish function -> topic (and bucket, over the threshold)
uploads -> outbox -> rule -> publish function -> topic and bucket
"""

import json

from aws_cdk import CfnOutput, Duration, Environment, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_xray as xray
from constructs import Construct

from stacks import cross_account as boundary
from stacks.common.acknowledgement import acknowledge, acknowledge_wildcards
from stacks.common.alarms import Operations
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.findings import BELOW_A_PREFIX, GRANT_PUBLISH
from stacks.common.function import Function
from stacks.common.removal import removal_policy
from stacks.deployment import Deployment, names
from stacks.deployment.publisher import SNS_DEFAULT_MAXIMUM_BYTES
from stacks.deployment.stores import publisher_store
from stacks.publisher.payload_bucket import PayloadBucket
from stacks.publisher.replication import Replication


class PublisherStack(Stack):
    """Deployed first: a subscriber cannot subscribe before the topic knows it."""

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        publisher = deployment.publisher
        super().__init__(
            scope,
            names.publisher_stack(deployment),
            env=Environment(account=publisher.account, region=publisher.region),
            termination_protection=not deployment.ephemeral,
            description="coatcheck: publishes messages of any size to subscribers in other accounts and Regions.",
        )
        removal = removal_policy(deployment)

        key = kms.Key(
            self,
            "Key",
            description=f"{deployment.name}: payloads and messages",
            enable_key_rotation=True,
            removal_policy=removal,
        )
        bucket = PayloadBucket(self, "PayloadBucket", deployment=deployment, key=key)
        if publisher.replicas:
            Replication(self, "Replication", deployment=deployment, bucket=bucket, key=key)
        topic = _topic(self, deployment, key)
        bus = events.EventBus(self, "EventBus", event_bus_name=names.event_bus(deployment))

        _let_in(deployment, bucket, key, topic, bus)

        dead_letters = DeadLetterQueue(
            self,
            "PublishDeadLetters",
            queue_name=names.publish_dead_letter_queue(deployment),
            retention=Duration.days(14),
            removal_policy=removal,
        )
        publish = Function(
            self,
            "Publish",
            function_name=names.publish_function(deployment),
            package="publish",
            timeout=Duration.minutes(15),  # S3 needs minutes to copy an upload of many gigabytes
            on_failure=destinations.SqsDestination(dead_letters),
            environment={
                "TOPIC_ARN": topic.topic_arn,
                "PAYLOAD_STORE": json.dumps(publisher_store(deployment)),
                "OUTBOX_PREFIX": names.OUTBOX,
                "SENDERS": json.dumps({sender.name: sender.account for sender in deployment.senders}),
                "THRESHOLD_BYTES": str(publisher.maximum_message_bytes),
                "OFFLOAD": publisher.offload,
                "MAXIMUM_UPLOAD_BYTES": str(publisher.outbox.maximum_bytes),
            },
        )
        _grant_publish(publish.execution_role, topic, bucket, key)
        # The outbox: the uploaded version is copied, published, and only then deleted.
        bucket.grant_read(publish.execution_role, f"{names.OUTBOX}*")
        bucket.grant_delete(publish.execution_role, f"{names.OUTBOX}*")

        role = iam.Role(
            self,
            "PublisherRole",
            role_name=names.publisher_role(deployment),
            description="Assumed by applications of this account that publish with the claim_check library.",
            assumed_by=iam.AccountPrincipal(publisher.account),
        )
        _grant_publish(role, topic, bucket, key)
        # To take back what SNS refused; the function takes nothing back, for its messages' ids are not of its making.
        role.add_to_policy(
            iam.PolicyStatement(actions=["s3:DeleteObject"], resources=[bucket.arn_for_objects(f"{names.PAYLOADS}*")])
        )
        bucket.grant_put(role, f"{names.OUTBOX}*")

        for output, value, what in (
            ("EventBusArn", bus.event_bus_arn, "Where senders put events."),
            ("PayloadBucketName", bucket.bucket_name, f"Its folder {names.OUTBOX} takes uploads."),
            ("TopicArn", topic.topic_arn, "What subscribers subscribe to."),
            ("PublisherRoleArn", role.role_arn, "What applications of this account publish as."),
        ):
            CfnOutput(self, output, value=value, description=what)

        target = targets.LambdaFunction(publish, dead_letter_queue=dead_letters)
        events_rule = _events_rule(self, deployment, bus, target)
        _keep_the_others(self, deployment, bus, removal)
        outbox_rule = _outbox_rule(self, bucket, target)

        operations = Operations(self, "Operations", deployment=deployment)
        operations.watch_dead_letters("PublishDeadLetters", dead_letters)
        operations.watch_topic(topic)
        operations.watch_function("Publish", publish, asynchronous=True)
        operations.watch_refusals(publish, ["PayloadCorrupt"])
        operations.watch_rules({"EventsLost": events_rule, "UploadsLost": outbox_rule})
        if publisher.replicas:
            operations.watch_replication()
        operations.show_traffic(publish, "PublishedBytes")
        operations.show(f"Publishes what reaches the bus `{names.event_bus(deployment)}` and the outbox.")


def _topic(scope: Construct, deployment: Deployment, key: kms.IKey) -> sns.Topic:
    topic = sns.Topic(
        scope,
        "Topic",
        topic_name=names.topic(deployment),
        master_key=key,
        fifo=deployment.publisher.fifo or None,
        signature_version="2",
        # For standard topics only. (SNS API reference, CreateTopic, "TracingConfig".)
        tracing_config=None if deployment.publisher.fifo else sns.TracingConfig.ACTIVE,
    )
    cfn = topic.node.default_child
    assert isinstance(cfn, sns.CfnTopic)
    # A lower threshold is no lower maximum: a pointer with its attributes, or a batch, may be larger.
    cfn.maximum_message_size = max(deployment.publisher.maximum_message_bytes, SNS_DEFAULT_MAXIMUM_BYTES)
    if not deployment.publisher.fifo:
        xray.CfnResourcePolicy(
            scope,
            "Traces",
            policy_name=f"{names.topic(deployment)}-traces",
            policy_document=json.dumps(
                {"Version": "2012-10-17", "Statement": [boundary.tell_traces(deployment).to_statement_json()]}
            ),
        )
    return topic


def _let_in(deployment: Deployment, bucket: s3.Bucket, key: kms.Key, topic: sns.Topic, bus: events.EventBus) -> None:
    """Other accounts: subscribers to read and to subscribe, senders to upload and to put events."""
    for subscriber in deployment.subscribers:
        bucket.add_to_resource_policy(boundary.read_payloads(deployment, subscriber))
        key.add_to_resource_policy(boundary.decrypt_payloads(deployment, subscriber))
        topic.add_to_resource_policy(boundary.subscribe(deployment, subscriber))
    topic.add_to_resource_policy(boundary.subscribe_nothing_else(deployment))
    topic.add_to_resource_policy(boundary.over_tls_only(topic.topic_arn))
    for sender in deployment.senders:
        bucket.add_to_resource_policy(boundary.upload(deployment, sender))
        key.add_to_resource_policy(boundary.encrypt_uploads(deployment, sender))
    for account in sorted({sender.account for sender in deployment.senders}):
        bus.add_to_resource_policy(boundary.put_events(deployment, account))


def _grant_publish(role: iam.IRole, topic: sns.Topic, bucket: s3.Bucket, key: kms.Key) -> None:
    topic.grant_publish(role)
    bucket.grant_put(role, f"{names.PAYLOADS}*")
    # To tell a retry from another payload of the same id.
    bucket.grant_read(role, f"{names.PAYLOADS}*")
    key.grant_encrypt_decrypt(role)
    acknowledge(role, GRANT_PUBLISH)
    objects = [bucket.arn_for_objects(f"{prefix}*") for prefix in (names.PAYLOADS, names.OUTBOX)]
    acknowledge_wildcards(role, {BELOW_A_PREFIX: objects})


def _events_rule(
    scope: Construct, deployment: Deployment, bus: events.IEventBus, target: events.IRuleTarget
) -> events.Rule:
    return events.Rule(
        scope,
        "EventsRule",
        description="Events that applications put on the bus.",
        event_bus=bus,
        # Everything but what AWS services say of themselves; a pattern has to name something.
        event_pattern=events.EventPattern(
            source=events.Match.anything_but_prefix("aws."), detail_type=list(deployment.publisher.detail_types) or None
        ),
        targets=[target],
    )


def _keep_the_others(
    scope: Construct, deployment: Deployment, bus: events.IEventBus, removal_policy: RemovalPolicy
) -> None:
    """An archive of the events that are not published, for their detail-type is not among those that are."""
    detail_types = deployment.publisher.detail_types
    # Always there, so that what it has can still be replayed when `detail_types` is taken out, and it is not made
    # twice when they are put in again. Without them nothing goes in: every event has a detail-type.
    others = {"anything-but": list(detail_types)} if detail_types else {"exists": False}
    events.CfnArchive(
        scope,
        "Unmatched",
        archive_name=names.archive(deployment),
        description="Events with another detail-type than those that are published.",
        source_arn=bus.event_bus_arn,
        event_pattern={"source": [{"anything-but": {"prefix": "aws."}}], "detail-type": [others]},
        retention_days=deployment.publisher.archive_days,
    ).apply_removal_policy(removal_policy)


def _outbox_rule(scope: Construct, bucket: s3.IBucket, target: events.IRuleTarget) -> events.Rule:
    return events.Rule(
        scope,
        "OutboxRule",
        description="Uploads to the outbox.",
        event_pattern=events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={
                "bucket": {"name": [bucket.bucket_name]},
                "object": {"key": events.Match.prefix(names.OUTBOX)},
            },
        ),
        targets=[target],
    )
