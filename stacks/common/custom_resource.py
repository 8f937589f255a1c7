"""CDK's provider for custom resources that take minutes: it calls a function until the resource is complete."""

from collections.abc import Mapping

from aws_cdk import CustomResource, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.custom_resources import LogOptions, Provider
from constructs import Construct

from stacks.common.findings import acknowledge, acknowledge_wildcards

LIMIT = Duration.minutes(50)
"""Shorter than CloudFormation's limit of an hour: the limit counts the pauses between calls, and not the calls."""


class AsyncProvider(Provider):
    """A provider that calls the same function for `onEvent` and `isComplete`."""

    def __init__(self, scope: Construct, id: str, *, function: lambda_.IFunction, query_interval: Duration) -> None:
        super().__init__(
            scope,
            id,
            on_event_handler=function,
            is_complete_handler=function,
            query_interval=query_interval,
            total_timeout=LIMIT,
            disable_waiter_state_machine_logging=False,
            waiter_state_machine_log_options=LogOptions(level=sfn.LogLevel.ALL),
        )
        acknowledge(
            self,
            {
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]"
                "": "CDK's provider framework gives its own functions this policy: to write their logs.",
                "AwsSolutions-SF2": "CDK's provider framework: it polls every few seconds, during a deployment only.",
            },
        )
        # The framework does not expose these functions, so they are found by their ids.
        framework = [self.node.find_child(f"framework-{name}") for name in ("isComplete", "onTimeout")]
        acknowledge_wildcards(
            self,
            {
                "CDK's provider framework calls all versions of these functions.": [
                    f"{callee.function_arn}:*"
                    for callee in (function, *framework)
                    if isinstance(callee, lambda_.Function)
                ]
            },
        )
        waiter = self.node.find_child("waiter-state-machine")
        acknowledge_wildcards(waiter, {"Step Functions' log delivery has no ARNs.": ["*"]})
        # CDK's trust policy has no aws:SourceAccount condition.
        role = waiter.node.find_child("Role").node.default_child
        assert isinstance(role, iam.CfnRole)
        role.add_property_override(
            "AssumeRolePolicyDocument.Statement.0.Condition",
            {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
        )
        self._log_groups = [each for each in self.node.find_all() if isinstance(each, logs.CfnLogGroup)]
        for log_group in self._log_groups:
            log_group.apply_removal_policy(RemovalPolicy.DESTROY)  # CDK retains its log groups

    def add_resource(
        self, scope: Construct, id: str, *, resource_type: str, properties: Mapping[str, object]
    ) -> CustomResource:
        """Add a custom resource, which CloudFormation creates after the log groups of the provider's functions.

        The groups have the functions' names. Lambda would create a missing group at the first call, and CloudFormation
        would then fail: it exists already.
        """
        resource = CustomResource(
            scope, id, service_token=self.service_token, resource_type=resource_type, properties=properties
        )
        resource.node.add_dependency(*self._log_groups)
        return resource
