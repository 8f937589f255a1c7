"""The researchers' data: `shared/` for everybody and for jobs, `users/<profile>/` for one researcher each."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.bucket import PrivateBucket
from stacks.common.defaults import Defaults
from stacks.deployment import BaseDeployment, names
from stacks.deployment.research import ResearchConfig


class DataBucket(PrivateBucket):
    """Versioned: what a researcher overwrites or deletes by mistake can be had back for 90 days."""

    def __init__(
        self, scope: Construct, id: str, *, deployment: BaseDeployment, research: ResearchConfig, key: kms.IKey
    ) -> None:
        super().__init__(
            scope,
            id,
            defaults=Defaults.of(deployment),
            bucket_name=names.data_bucket(deployment, research),
            key=key,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ForgetOldVersions",
                    noncurrent_version_expiration=Duration.days(90),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                ),
                s3.LifecycleRule(id="RemoveDeleteMarkers", expired_object_delete_marker=True),
            ],
        )
