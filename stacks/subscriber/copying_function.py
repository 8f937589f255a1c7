"""A function that has S3 copy payloads which were handed on, each from wherever it is: no byte passes through it."""

import json
from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.function import Function
from stacks.common.grants import grant_read
from stacks.deployment import Deployment, SqsSubscriberConfig, names
from stacks.deployment.stores import staging_store, trusted_stores


class CopyingFunction(Function):
    """Reads the inbox, where what came inside its message was put. The publisher's side of the contract knows
    `role_name`: the subscriber's stack grants it to read payloads. Where to copy them is `environment`'s to say."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: SqsSubscriberConfig,
        staging: s3.IBucket,
        function_name: str,
        role_name: str,
        package: str,
        environment: Mapping[str, str],
        on_failure: lambda_.IDestination | None = None,
    ) -> None:
        stores = [*trusted_stores(deployment, subscriber), staging_store(deployment, subscriber)]
        super().__init__(
            scope,
            id,
            function_name=function_name,
            role_name=role_name,
            package=package,
            timeout=Duration.minutes(15),  # S3 needs minutes to copy many gigabytes
            environment={"TRUSTED_STORES": json.dumps(stores), **environment},
            on_failure=on_failure,
        )
        grant_read(staging, self.execution_role, names.INLINE)
