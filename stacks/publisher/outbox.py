"""The outbox: uploads of senders, and the rule that sends S3's events about them to the publish function."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import cross_account
from stacks.deployment.names import OUTBOX, Names
from stacks.deployment.payload_lifetime import PUBLISH_DEAD_LETTER_DAYS
from stacks.publisher.payload_bucket import PayloadBucket


class Outbox(Construct):
    """The prefix `outbox/` of the payload bucket, with a folder for each sender.

    The bucket is versioned, so that a later upload to the same key does not matter. The function copies, publishes and
    deletes the version that the event names.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        bucket: PayloadBucket,
        lifetime_days: int,
        organization: str | None,
    ) -> None:
        super().__init__(scope, id)
        self._bucket = bucket
        place = names.publisher.payload_bucket
        for sender in names.senders.values():
            bucket.add_to_resource_policy(cross_account.upload(place, sender, organization=organization))
            bucket.key.add_to_resource_policy(cross_account.encrypt_uploads(place, sender, organization=organization))
        if own := [sender for sender in names.senders.values() if sender.place.account == place.place.account]:
            bucket.add_to_resource_policy(cross_account.deny_other_writers(place, own))
        for statement in cross_account.deny_unreadable_uploads(place, bucket.key.key_arn):
            bucket.add_to_resource_policy(statement)
        # A refused upload stays in the outbox, and an upload can be overwritten before it is published. Both are
        # retained as long as a payload and its dead letter, for a redrive.
        bucket.add_lifecycle_rule(
            id="ExpireUploads",
            prefix=OUTBOX,
            expiration=Duration.days(lifetime_days + PUBLISH_DEAD_LETTER_DAYS),
            noncurrent_version_expiration=Duration.days(lifetime_days),
        )
        cfn = bucket.node.default_child
        assert isinstance(cfn, s3.CfnBucket)
        # CloudFormation's property suffices. CDK's `event_bridge_enabled` would add a function with wide permissions.
        cfn.add_property_override("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True)

    def add_rule(self, target: events.IRuleTarget) -> events.Rule:
        """Return a new rule that sends S3's event about each upload to the target."""
        return events.Rule(
            self,
            "Rule",
            description="Uploads to the outbox.",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={"bucket": {"name": [self._bucket.bucket_name]}, "object": {"key": events.Match.prefix(OUTBOX)}},
            ),
            targets=[target],
        )
