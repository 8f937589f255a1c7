"""Landing: each payload copied, by S3, into a bucket of the subscriber's own, and the function that has it done."""

import json

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.bucket import PrivateBucket
from stacks.common.defaults import Defaults
from stacks.common.grants import grant_put
from stacks.deployment import Deployment, SqsSubscriberConfig, names
from stacks.deployment.stores import landing_store
from stacks.deployment.subscriber import LandingConfig as Settings
from stacks.subscriber.copying_function import CopyingFunction


class Landing(Construct):
    """`bucket`, and `function`, which lands the payload that an execution was started with."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: SqsSubscriberConfig,
        settings: Settings,
        staging: s3.IBucket,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(scope, id)
        self.key = kms.Key(
            self,
            "Key",
            description=f"{deployment.name}: payloads that {subscriber.name} keeps",
            enable_key_rotation=True,
            removal_policy=removal_policy,
        )
        # Not versioned: a payload is landed again under the same key, with the same bytes.
        self.bucket = PrivateBucket(
            self,
            "Bucket",
            defaults=Defaults.of(deployment),
            bucket_name=names.landing_bucket(deployment, subscriber),
            key=self.key,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpireLanded",
                    expiration=Duration.days(settings.retention_days),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                )
            ],
        )
        self.function = CopyingFunction(
            self,
            "Copy",
            deployment=deployment,
            subscriber=subscriber,
            staging=staging,
            function_name=names.copy_function(deployment, subscriber),
            role_name=names.copy_role(deployment, subscriber),
            package="copy_payload",
            environment={"LANDING_STORE": json.dumps(landing_store(deployment, subscriber))},
        )
        grant_put(self.bucket, self.function.execution_role, names.LANDED)
