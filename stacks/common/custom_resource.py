"""CDK's provider of custom resources that take their time: it calls our function until that says it is complete."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.custom_resources import LogOptions, Provider
from constructs import Construct

from stacks.common.acknowledgement import acknowledge, acknowledge_wildcards

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
            disable_waiter_state_machine_logging=False,
            waiter_state_machine_log_options=LogOptions(level=sfn.LogLevel.ALL),
        )
        acknowledge(
            self,
            {
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]"
                "": "CDK's provider framework gives its own functions this policy: to write their logs.",
                "AwsSolutions-SF2": "CDK's provider framework: asks every few seconds, during a deployment only.",
            },
        )
        # By their place in the framework: it has no other door to them.
        framework = [self.node.find_child(f"framework-{each}") for each in ("isComplete", "onTimeout")]
        acknowledge_wildcards(
            self,
            {
                "CDK's provider framework calls any version of these functions.": [
                    f"{each.function_arn}:*" for each in (function, *framework) if isinstance(each, lambda_.Function)
                ]
            },
        )
        waiter = self.node.find_child("waiter-state-machine")
        acknowledge_wildcards(waiter, {"Log delivery, of Step Functions, has no ARNs.": ["*"]})
        # CDK would let Step Functions take the role on anybody's behalf.
        role = waiter.node.find_child("Role").node.default_child
        assert isinstance(role, iam.CfnRole)
        role.add_property_override(
            "AssumeRolePolicyDocument.Statement.0.Condition",
            {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
        )
