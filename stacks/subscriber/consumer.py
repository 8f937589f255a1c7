"""The consume function of a subscriber, its staging bucket and its dead-letter queue."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks import cross_account
from stacks.common.bucket import PrivateBucket
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.function import Function
from stacks.common.grants import grant_put, grant_read
from stacks.deployment import FunctionSubscriberConfig
from stacks.deployment.names import INLINE, SubscriberNames


class Consumer(Construct):
    """Staging bucket, dead-letter queue, and the function that `add_function` adds.

    The function is added last: the application uses the bucket, and the function's environment has the application's
    ARN.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: SubscriberNames,
        settings: FunctionSubscriberConfig,
        lifetime_days: int,
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id)
        self._names, self._settings = names, settings
        self.staging_bucket = PrivateBucket(
            self,
            "StagingBucket",
            bucket_name=names.staging_bucket.name,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpirePayloads",
                    expiration=Duration.days(lifetime_days),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                )
            ],
            defaults=defaults,
        )
        self.dead_letters = DeadLetterQueue(
            self,
            "DeadLetterQueue",
            queue_name=names.dead_letter_queue.name,
            retention_days=settings.dead_letter_retention_days,
            defaults=defaults,
        )

    def add_function(
        self,
        *,
        package: str,
        environment: Mapping[str, str],
        on_failure: lambda_.IDestination | None = None,
        reserved_concurrent_executions: int | None = None,
    ) -> Function:
        """Return the new consume function. Its role is the reader role."""
        function = Function(
            self,
            "Function",
            function_name=self._names.consume_function.name,
            role_name=self._names.reader_role.name,
            package=package,
            timeout=Duration.seconds(self._settings.function_timeout_seconds),
            environment=environment,
            on_failure=on_failure,
            reserved_concurrent_executions=reserved_concurrent_executions,
        )
        # Reading the staging bucket distinguishes a retry from another payload under the same id.
        self.grant_read_payloads(function.execution_role)
        grant_put(self.staging_bucket, function.execution_role, INLINE)
        return function

    def grant_read_payloads(self, role: iam.IRole) -> None:
        """Allow a reader role to read payloads of the publisher and of the staging bucket."""
        cross_account.grant_read_payloads(role, self._names)
        grant_read(self.staging_bucket, role, INLINE)
