"""The bucket that holds payloads while their pointers travel, and the outbox; and a replica of its payloads."""

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.bucket import PrivateBucket
from stacks.deployment import Deployment, names


class _Bucket(PrivateBucket):
    """`payloads/` expires with the payload lifetime. Versioned, as replication wants it at both ends."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        region: str,
        key: kms.IKey,
        more_rules: Sequence[s3.LifecycleRule] = (),
    ) -> None:
        super().__init__(
            scope,
            id,
            deployment=deployment,
            bucket_name=names.payload_bucket(deployment, region),
            key=key,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpirePayloads",
                    prefix=names.PAYLOADS,
                    expiration=Duration.days(deployment.publisher.payload_lifetime_days),
                    noncurrent_version_expiration=Duration.days(1),
                ),
                *more_rules,
                s3.LifecycleRule(id="RemoveDeleteMarkers", expired_object_delete_marker=True),
                s3.LifecycleRule(id="AbortUnfinishedUploads", abort_incomplete_multipart_upload_after=Duration.days(2)),
            ],
        )


class PayloadBucket(_Bucket):
    """`outbox/` holds uploads until they are published.

    Versioned for the outbox: what is copied, published and deleted is the very version that was uploaded, even when the
    same key is uploaded again meanwhile.
    """

    def __init__(self, scope: Construct, id: str, *, deployment: Deployment, key: kms.IKey) -> None:
        super().__init__(
            scope,
            id,
            deployment=deployment,
            region=deployment.publisher.region,
            key=key,
            more_rules=[
                # An upload that was overwritten before it was published waits as long as its dead letter may.
                s3.LifecycleRule(
                    id="ExpireOverwrittenUploads",
                    prefix=names.OUTBOX,
                    noncurrent_version_expiration=Duration.days(deployment.publisher.payload_lifetime_days),
                )
            ],
        )
        cfn = self.node.default_child
        assert isinstance(cfn, s3.CfnBucket)
        # CloudFormation does this by itself; the L2 property would add a function with wide rights to do it.
        cfn.add_property_override("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True)


class ReplicaBucket(_Bucket):
    """In another Region; what is in it was put there by S3. A replica has the age of its original, and expires with
    it."""
