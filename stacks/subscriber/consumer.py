"""The consume function of a subscriber, its staging bucket and its dead-letter queue."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from consume.settings import OwnCodeSettings
from stacks import cross_account
from stacks.common.bucket import PrivateBucket
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.function import DEFAULT_MEMORY_MIB, Function
from stacks.common.grants import deny, grant_put, grant_read
from stacks.common.stack_key import stack_key
from stacks.deployment import FunctionSubscriberConfig
from stacks.deployment.names import INLINE
from stacks.deployment.state_machine import read_statements
from stacks.subscriber.stack import Subscriber


class Consumer(Construct):
    """Dead-letter queue, the staging bucket of an application that gets pointers, and the function of `add_function`.

    The function is added last: the application uses the bucket, and the function's environment has the application's
    ARN.
    """

    def __init__(self, scope: Construct, id: str, subscriber: Subscriber[FunctionSubscriberConfig]) -> None:
        names, settings, defaults = subscriber.names, subscriber.settings, subscriber.defaults
        super().__init__(scope, id)
        self._names, self._settings = names, settings
        self._staging_bucket = (
            self._add_staging_bucket(subscriber.lifetime_days, defaults) if settings.hands_off else None
        )
        self.dead_letters = DeadLetterQueue(
            self,
            "DeadLetterQueue",
            queue_name=names.dead_letter_queue.name,
            retention_days=settings.dead_letter_retention_days,
            defaults=defaults,
        )

    def _add_staging_bucket(self, lifetime_days: int, defaults: Defaults) -> PrivateBucket:
        bucket = PrivateBucket(
            self,
            "StagingBucket",
            bucket_name=self._names.staging_bucket.name,
            key=stack_key(self, defaults),
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="ExpirePayloads",
                    expiration=Duration.days(lifetime_days),
                    abort_incomplete_multipart_upload_after=Duration.days(2),
                )
            ],
            defaults=defaults,
        )
        # Requests of an upload in parts have no such header. An inline payload is written in one request.
        overwriting = {"s3:if-none-match": "true"}
        objects = [bucket.arn_for_objects(f"{INLINE}*")]
        bucket.add_to_resource_policy(deny("DenyOverwriting", ["s3:PutObject"], objects, Null=overwriting))
        return bucket

    def add_function(
        self,
        *,
        package: str,
        environment: Mapping[str, str],
        on_failure: lambda_.IDestination | None = None,
        reserved_concurrent_executions: int | None = None,
    ) -> Function:
        """Return the new consume function. Its role is the reader role."""
        code = self._settings.code
        own_code: dict[str, str] = {}
        if code:
            own_code = OwnCodeSettings(process_seconds=code.timeout_seconds).to_environment() | code.environment
        function = Function(
            self,
            "Function",
            function_name=self._names.consume_function.name,
            role_name=self._names.reader_role.name,
            package=package,
            shared=("claim_check", "shared", "consume"),
            own_code=code.path if code else None,
            memory_mib=code.memory_mib if code else DEFAULT_MEMORY_MIB,
            timeout=Duration.seconds(self._settings.function_timeout_seconds),
            environment={**environment, **own_code},
            on_failure=on_failure,
            reserved_concurrent_executions=reserved_concurrent_executions,
        )
        # Reading the staging bucket distinguishes a retry from another payload under the same id.
        self.grant_read_payloads(function.execution_role)
        if self._staging_bucket:
            grant_put(self._staging_bucket, function.execution_role, INLINE)
        for statement in read_statements(code.permissions) if code and code.permissions else ():
            function.execution_role.add_to_policy(iam.PolicyStatement.from_json(statement))
        return function

    def grant_read_payloads(self, role: iam.IRole) -> None:
        """Allow a reader role to read payloads of the publisher and of the staging bucket."""
        cross_account.grant_read_payloads(role, self._names)
        if self._staging_bucket:
            grant_read(self._staging_bucket, role, INLINE)
