"""The landing bucket, its key, and the function that copies payloads into the bucket."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from copy_payload.settings import Settings
from stacks.common.bucket import PrivateBucket
from stacks.common.defaults import Defaults
from stacks.common.function import Function
from stacks.common.grants import grant_put
from stacks.deployment.names import LANDED, SubscriberNames
from stacks.deployment.subscriber import LandingConfig
from stacks.subscriber.consumer import Consumer

COPY_TIMEOUT = Duration.minutes(15)
"""S3 takes minutes to copy a payload of many gigabytes. The function itself transfers no data."""


class LandingBucket(Construct):
    """Key and bucket, and the copy function, which the state machine invokes with its input."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: SubscriberNames,
        settings: LandingConfig,
        consumer: Consumer,
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id)
        self.key = kms.Key(
            self,
            "Key",
            description=f"{names.stack}: landed payloads",
            enable_key_rotation=True,
            removal_policy=defaults.removal_policy,
        )
        # Not versioned: a repeated copy has the same key and the same bytes.
        self.bucket = PrivateBucket(
            self,
            "Bucket",
            bucket_name=names.landing_bucket.name,
            key=self.key,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpireLanded",
                    expiration=Duration.days(settings.retention_days),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                )
            ],
            defaults=defaults,
        )
        self.copy_function = Function(
            self,
            "CopyFunction",
            function_name=names.copy_function.name,
            role_name=names.copy_role.name,
            package="copy_payload",
            timeout=COPY_TIMEOUT,
            environment=Settings(
                trusted_stores=names.handoff_stores, landing_store=names.landing_store
            ).to_environment(),
        )
        consumer.grant_read_payloads(self.copy_function.execution_role)
        grant_put(self.bucket, self.copy_function.execution_role, LANDED)
