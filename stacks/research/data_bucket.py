"""The researchers' data: `shared/` for everybody and for jobs, `users/<profile>/` for one researcher each."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import names
from stacks.acknowledgement import acknowledge
from stacks.deployment import Head
from stacks.research.settings import Research


class DataBucket(s3.Bucket):
    """Versioned: what a researcher overwrites or deletes by mistake can be had back for 90 days."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Head,
        research: Research,
        key: kms.IKey,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=names.data_bucket(deployment, research),
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=key,
            bucket_key_enabled=True,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ForgetOldVersions",
                    noncurrent_version_expiration=Duration.days(90),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                ),
                s3.LifecycleRule(id="RemoveDeleteMarkers", expired_object_delete_marker=True),
            ],
            removal_policy=removal_policy,
            auto_delete_objects=deployment.ephemeral,
        )
        acknowledge(
            self,
            {
                "AwsSolutions-S1": "Who read what is told by CloudTrail's data events, which the organisation decides "
                "on; server access logs are late and incomplete, and a second bucket to keep."
            },
        )
