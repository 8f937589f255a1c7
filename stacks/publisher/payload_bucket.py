"""The bucket for payloads and uploads, and a bucket for replicas of payloads."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import cross_account
from stacks.common.bucket import PrivateBucket
from stacks.common.defaults import Defaults
from stacks.deployment.names import OUTBOX, PAYLOADS, PayloadBucketNames, SenderNames, SubscriberNames


class PayloadBucket(PrivateBucket):
    """The bucket with the prefixes `payloads/` and `outbox/`. Subscribers may read the first, senders write the second.

    Versioned for the outbox: the function copies, publishes and deletes the version that was uploaded, even if the same
    key is uploaded again in the meantime.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: PayloadBucketNames,
        key: kms.Key,
        senders: Sequence[SenderNames],
        subscribers: Sequence[SubscriberNames],
        lifetime_days: int,
        defaults: Defaults,
    ) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=names.bucket.name,
            key=key,
            versioned=True,
            lifecycle_rules=[
                *_lifecycle_rules(lifetime_days),
                # An upload that was overwritten before it was published lives as long as its dead letter can.
                s3.LifecycleRule(
                    id="ExpireOverwrittenUploads",
                    prefix=OUTBOX,
                    noncurrent_version_expiration=Duration.days(lifetime_days),
                ),
            ],
            defaults=defaults,
        )
        _allow_readers(self, key, names, subscribers, defaults)
        for sender in senders:
            self.add_to_resource_policy(cross_account.upload(names, sender, organization=defaults.organization))
            key.add_to_resource_policy(cross_account.encrypt_uploads(names, sender, organization=defaults.organization))
        cfn = self.node.default_child
        assert isinstance(cfn, s3.CfnBucket)
        # CloudFormation itself supports this. CDK's own property would add a function with wide permissions.
        cfn.add_property_override("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True)


class ReplicaBucket(PrivateBucket):
    """A bucket in another Region, which S3 fills. A replica has the age of its original and expires with it.

    Versioned, because S3 replication requires versioning on both buckets.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: PayloadBucketNames,
        key: kms.Key,
        subscribers: Sequence[SubscriberNames],
        lifetime_days: int,
        defaults: Defaults,
    ) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=names.bucket.name,
            key=key,
            versioned=True,
            lifecycle_rules=_lifecycle_rules(lifetime_days),
            defaults=defaults,
        )
        _allow_readers(self, key, names, subscribers, defaults)


def _lifecycle_rules(lifetime_days: int) -> list[s3.LifecycleRule]:
    return [
        s3.LifecycleRule(
            id="ExpirePayloads",
            prefix=PAYLOADS,
            expiration=Duration.days(lifetime_days),
            noncurrent_version_expiration=Duration.days(1),
        ),
        s3.LifecycleRule(id="RemoveDeleteMarkers", expired_object_delete_marker=True),
        s3.LifecycleRule(id="AbortUnfinishedUploads", abort_incomplete_multipart_upload_after=Duration.days(2)),
    ]


def _allow_readers(
    bucket: s3.Bucket,
    key: kms.Key,
    names: PayloadBucketNames,
    subscribers: Sequence[SubscriberNames],
    defaults: Defaults,
) -> None:
    for subscriber in subscribers:
        bucket.add_to_resource_policy(
            cross_account.read_payloads(names, subscriber, organization=defaults.organization)
        )
        key.add_to_resource_policy(
            cross_account.decrypt_payloads(names, subscriber, organization=defaults.organization)
        )
