"""A subscriber's own bucket, for payloads that came inside their message: what is handed on is always a pointer."""

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.bucket import PrivateBucket
from stacks.common.defaults import Defaults
from stacks.deployment import Deployment, FunctionSubscriberConfig, names


class StagingBucket(PrivateBucket):
    """Payloads expire as they do at the publisher's."""

    def __init__(
        self, scope: Construct, id: str, *, deployment: Deployment, subscriber: FunctionSubscriberConfig
    ) -> None:
        super().__init__(
            scope,
            id,
            defaults=Defaults.of(deployment),
            bucket_name=names.staging_bucket(deployment, subscriber),
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpirePayloads",
                    expiration=Duration.days(deployment.publisher.payload_lifetime_days),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                )
            ],
        )
