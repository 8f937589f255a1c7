"""A subscriber's own bucket for payloads that it keeps: whole copies, made by S3, under a key of the subscriber's."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import names
from stacks.acknowledgement import acknowledge
from stacks.application import Landing
from stacks.deployment import Deployment, SqsSubscriber
from stacks.findings import NO_ACCESS_LOG


class LandingBucket(s3.Bucket):
    """Everything in it expires `landing.days` after it came. Not versioned: a payload is landed again under the same
    key, with the same bytes."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: SqsSubscriber,
        landing: Landing,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=names.landing_bucket(deployment, subscriber),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpireLanded",
                    expiration=Duration.days(landing.days),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                )
            ],
            removal_policy=removal_policy,
            auto_delete_objects=deployment.ephemeral,
        )
        acknowledge(self, NO_ACCESS_LOG)
