"""The function that publishes events and uploads, and the permissions to publish."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sns as sns
from constructs import Construct

from publish.settings import Settings
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.function import Function
from stacks.common.grants import grant_delete, grant_encrypt_decrypt, grant_put, grant_read
from stacks.cross_account import grant_report
from stacks.deployment import PublisherConfig
from stacks.deployment.names import OUTBOX, PAYLOADS, Names
from stacks.deployment.payload_lifetime import PUBLISH_DEAD_LETTER_DAYS
from stacks.publisher.payload_bucket import PayloadBucket


class PublishFunction(Function):
    """The publish function, with its dead-letter queue."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        settings: PublisherConfig,
        topic: sns.ITopic,
        bucket: PayloadBucket,
        defaults: Defaults,
    ) -> None:
        self.dead_letters = DeadLetterQueue(
            scope,
            f"{id}DeadLetters",
            queue_name=names.publisher.dead_letter_queue.name,
            retention_days=PUBLISH_DEAD_LETTER_DAYS,
            defaults=defaults,
        )
        if self.dead_letters.key:
            self.dead_letters.key.allow_rules()
        super().__init__(
            scope,
            id,
            function_name=names.publisher.publish_function.name,
            role_name=names.publisher.publish_role.name,
            package="publish",
            timeout=Duration.minutes(15),  # S3 takes minutes to copy an upload of many gigabytes
            on_failure=destinations.SqsDestination(self.dead_letters),
            environment=Settings(
                topic_arn=topic.topic_arn,
                payload_store=names.publisher.store,
                outbox_prefix=OUTBOX,
                senders={
                    sender.name: f"{sender.place.region}:{sender.place.account}" for sender in names.senders.values()
                },
                sender_bus=names.publisher.sender_bus,
                deployment=names.publisher.prefix,
                dead_letter_queue_url=self.dead_letters.queue_url,
                threshold_bytes=settings.maximum_message_bytes,
                offload=settings.offload,
                maximum_upload_bytes=settings.outbox.maximum_bytes,
                outbox_attributes=settings.outbox.attributes,
            ).to_environment(),
        )
        grant_publish(self.execution_role, topic=topic, bucket=bucket)
        # The function copies and publishes the uploaded version, then deletes it.
        grant_read(bucket, self.execution_role, OUTBOX)
        grant_delete(bucket, self.execution_role, OUTBOX)
        if names.senders:
            grant_report(self.execution_role, names.senders.values())


def grant_publish(role: iam.IRole, *, topic: sns.ITopic, bucket: PayloadBucket) -> None:
    """Allow the role to store payloads and to publish messages."""
    topic.grant_publish(role)
    grant_put(bucket, role, PAYLOADS)
    # Reading distinguishes a retry from another payload under the same id.
    grant_read(bucket, role, PAYLOADS)
    grant_encrypt_decrypt(bucket.key, role)
