"""The publisher's account: topic, payload bucket, event bus, and the function that publishes.

events  -> bus    -> rule -> publish function -> topic (and bucket, over the threshold)
uploads -> outbox -> rule -> publish function -> topic and bucket
"""

from aws_cdk import CfnOutput, Environment, Stack
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.common.alarms import Alarms
from stacks.common.dashboard import traffic_graph
from stacks.common.defaults import Defaults
from stacks.common.grants import allow, grant_put
from stacks.deployment import PublisherConfig
from stacks.deployment.names import OUTBOX, PAYLOADS, Names
from stacks.publisher.event_bus import EventBus
from stacks.publisher.outbox import Outbox
from stacks.publisher.payload_bucket import PayloadBucket
from stacks.publisher.publish_function import PublishFunction, grant_publish
from stacks.publisher.replication import Replication
from stacks.publisher.topic import MessageTopic


class PublisherStack(Stack):
    """The publisher's stack. It is deployed before its subscribers: the topic has to allow their subscriptions."""

    def __init__(self, scope: Construct, names: Names, *, settings: PublisherConfig, defaults: Defaults) -> None:
        publisher = names.publisher
        super().__init__(
            scope,
            publisher.stack,
            env=Environment(account=publisher.place.account, region=publisher.place.region),
            termination_protection=defaults.termination_protection,
            description="coatcheck: publishes messages of any size to subscribers in other accounts and Regions.",
        )
        lifetime_days, organization = settings.payload_lifetime_days, defaults.organization
        bucket = PayloadBucket(
            self,
            "PayloadBucket",
            names=publisher.payload_bucket,
            subscribers=names.subscribers.values(),
            key_description="payloads and messages",
            settings=settings,
            defaults=defaults,
        )
        outbox = Outbox(
            self, "Outbox", names=names, bucket=bucket, lifetime_days=lifetime_days, organization=organization
        )
        topic = MessageTopic(self, "Topic", names=names, key=bucket.key, settings=settings, organization=organization)
        bus = EventBus(self, "EventBus", names=names, settings=settings, defaults=defaults)
        publish = PublishFunction(
            self, "Publish", names=names, settings=settings, topic=topic, bucket=bucket, defaults=defaults
        )
        target = targets.LambdaFunction(publish, dead_letter_queue=publish.dead_letters)
        rules = {"EventsLost": bus.add_rule(target), "UploadsLost": outbox.add_rule(target)}
        role = iam.Role(
            self,
            "PublisherRole",
            role_name=publisher.role.name,
            description="Assumed by applications of this account that publish with the claim_check library.",
            assumed_by=iam.AccountPrincipal(publisher.place.account),
        )
        grant_publish(role, topic=topic, bucket=bucket)
        grant_put(bucket, role, OUTBOX)
        # The library deletes a payload whose message SNS rejected, if it generated the message's id. The publish
        # function passes all ids, so it needs no such permission.
        allow(role, actions=["s3:DeleteObject"], resources=[bucket.arn_for_objects(f"{PAYLOADS}*")])

        alarms = Alarms(self, "Alarms", defaults=defaults)
        alarms.add_dead_letter_alarm("PublishDeadLetters", publish.dead_letters)
        alarms.add_topic_alarms(topic)
        if subscribed := [subscriber for subscriber in names.subscribers.values() if subscriber.subscribed]:
            alarms.add_subscription_alarm(topic, len(subscribed))
        alarms.add_function_alarms("Publish", publish, dead_letters=publish.dead_letters)
        alarms.add_error_alarms(publish, ["PayloadCorrupt", "ReportLost"])
        alarms.add_rule_alarms(
            rules,
            metric_name="InvocationsFailedToBeSentToDlq",
            function=publish.service,
            queue=publish.dead_letters.literal_name,
        )
        if publisher.replicas:
            Replication(self, "Replication", names=publisher, bucket=bucket)
            alarms.add_replication_alarms(publisher.payload_bucket, publisher.replicas.values())
        alarms.add_graph(traffic_graph(publish, "PublishedBytes", "ProcessingTime"))
        alarms.add_dashboard(f"Publishes events from the bus `{publisher.event_bus.name}` and uploads from the outbox.")

        for output, value, description in (
            ("EventBusArn", bus.event_bus_arn, "The bus for senders' events."),
            ("PayloadBucketName", bucket.bucket_name, f"The bucket; its prefix {OUTBOX} accepts uploads."),
            ("TopicArn", topic.topic_arn, "The topic for subscriptions."),
            ("PublisherRoleArn", role.role_arn, "The role of applications that publish from this account."),
        ):
            CfnOutput(self, output, value=value, description=description)
