"""The data bucket: `shared/` for all researchers and jobs, `users/<profile>/` for one researcher."""

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.bucket import PrivateBucket
from stacks.common.defaults import Defaults
from stacks.deployment import ResearchNames


class DataBucket(PrivateBucket):
    """A versioned bucket. Overwritten and deleted objects can be restored for 90 days."""

    def __init__(self, scope: Construct, id: str, *, names: ResearchNames, key: kms.IKey, defaults: Defaults) -> None:
        super().__init__(
            scope,
            id,
            bucket_name=names.data_bucket.name,
            key=key,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpireOldVersions",
                    noncurrent_version_expiration=Duration.days(90),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                ),
                s3.LifecycleRule(id="RemoveDeleteMarkers", expired_object_delete_marker=True),
            ],
            defaults=defaults,
        )
