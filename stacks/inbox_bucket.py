"""A subscriber's own bucket, for payloads that came inside their message: what is handed on is always a pointer."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import names
from stacks.acknowledgement import acknowledge
from stacks.deployment import Deployment, FunctionSubscriber
from stacks.findings import NO_ACCESS_LOG


class InboxBucket(s3.Bucket):
    """Payloads expire as they do at the publisher's."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: FunctionSubscriber,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=names.inbox_bucket(deployment, subscriber),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpirePayloads",
                    expiration=Duration.days(deployment.publisher.payload_lifetime_days),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                )
            ],
            removal_policy=removal_policy,
            auto_delete_objects=deployment.ephemeral,
        )
        acknowledge(self, NO_ACCESS_LOG)
