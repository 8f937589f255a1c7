"""The bucket for payloads, and its replicas."""

from collections.abc import Iterable

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import cross_account
from stacks.common.bucket import PrivateBucket
from stacks.common.defaults import Defaults
from stacks.deployment import PublisherConfig
from stacks.deployment.names import PAYLOADS, PayloadBucketNames, SubscriberNames
from stacks.deployment.publisher import ARCHIVED_OVER_BYTES


class PayloadBucket(PrivateBucket):
    """A bucket and its key, with payloads below `payloads/`, which subscribers may read.

    Payloads expire, replicas with their originals. The bucket is versioned: S3 replication requires versioning on both
    buckets, and the outbox needs it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: PayloadBucketNames,
        subscribers: Iterable[SubscriberNames],
        key_description: str,
        key_alias: str | None = None,
        settings: PublisherConfig,
        defaults: Defaults,
    ) -> None:
        self.key = kms.Key(
            scope,
            "Key",
            alias=key_alias,
            description=f"{defaults.name}: {key_description}",
            enable_key_rotation=True,
            removal_policy=defaults.removal_policy,
        )
        super().__init__(
            scope,
            id,
            bucket_name=names.bucket.name,
            key=self.key,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpirePayloads",
                    prefix=PAYLOADS,
                    expiration=Duration.days(settings.payload_lifetime_days),
                    noncurrent_version_expiration=Duration.days(1),
                ),
                *([_archive(settings.glacier_after_days)] if settings.glacier_after_days else []),
                s3.LifecycleRule(id="RemoveDeleteMarkers", expired_object_delete_marker=True),
                s3.LifecycleRule(id="AbortUnfinishedUploads", abort_incomplete_multipart_upload_after=Duration.days(2)),
            ],
            defaults=defaults,
        )
        organization = defaults.organization
        for subscriber in subscribers:
            self.add_to_resource_policy(cross_account.read_payloads(names, subscriber, organization=organization))
            self.key.add_to_resource_policy(
                cross_account.decrypt_payloads(names, subscriber, organization=organization)
            )


def _archive(days: int) -> s3.LifecycleRule:
    """Return the rule that moves large payloads to Glacier Instant Retrieval, which GetObject reads at once."""
    return s3.LifecycleRule(
        id="ArchivePayloads",
        prefix=PAYLOADS,
        object_size_greater_than=ARCHIVED_OVER_BYTES,
        transitions=[
            s3.Transition(storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL, transition_after=Duration.days(days))
        ],
    )
