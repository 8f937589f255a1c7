"""What all our buckets have in common; names, keys and lifecycles are their own."""

from collections.abc import Sequence

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.acknowledgement import acknowledge
from stacks.common.findings import NO_ACCESS_LOG
from stacks.common.removal import removal_policy
from stacks.deployment import BaseDeployment


class PrivateBucket(s3.Bucket):
    """Never public, over TLS only, without ACLs. Encrypted under `key`, or else under S3's own. Emptied when it is
    deleted: it is kept otherwise."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: BaseDeployment,
        bucket_name: str,
        lifecycle_rules: Sequence[s3.LifecycleRule],
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
            removal_policy=removal_policy(deployment),
            auto_delete_objects=deployment.ephemeral,
        )
        acknowledge(self, NO_ACCESS_LOG)
