"""CDK's provider of custom resources that take their time: it calls our function until that says it is complete."""

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk.custom_resources import Provider
from constructs import Construct

LIMIT = Duration.hours(1)
"""CloudFormation waits no longer for a custom resource."""


class WaitingProvider(Provider):
    """One function both begins (`onEvent`) and is asked whether it has ended (`isComplete`)."""

    def __init__(self, scope: Construct, id: str, *, function: lambda_.IFunction, query_interval: Duration) -> None:
        super().__init__(
            scope,
            id,
            on_event_handler=function,
            is_complete_handler=function,
            query_interval=query_interval,
            total_timeout=LIMIT,
        )
