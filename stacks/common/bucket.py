"""A private, encrypted bucket."""

from collections.abc import Sequence

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.common.findings import NO_ACCESS_LOG, acknowledge


class PrivateBucket(s3.Bucket):
    """A bucket without public access, ACLs or plain HTTP, encrypted with `key`, or with S3's key by default."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        bucket_name: str,
        lifecycle_rules: Sequence[s3.LifecycleRule],
        defaults: Defaults,
        key: kms.IKey | None = None,
        versioned: bool = False,
    ) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=bucket_name,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            versioned=versioned,
            lifecycle_rules=lifecycle_rules,
            removal_policy=defaults.removal_policy,
            auto_delete_objects=defaults.auto_delete_objects,
        )
        acknowledge(self, NO_ACCESS_LOG)
