"""An organisation's settings, applied to all stacks in one place."""

from importlib.metadata import version
from typing import TypeGuard

import jsii
from aws_cdk import App, Aspects, CfnOutput, CfnResource, IAspect, Stack, Tags
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

from stacks.common.defaults import Defaults
from stacks.common.stack_key import StackKey, stack_key
from stacks.deployment.names import Place
from stacks.deployment.platform import FunctionNetworkConfig

VERSION_OUTPUT = "CoatcheckVersion"
"""The output of each stack with the version of coatcheck that made it. A tag would change every resource."""
_NETWORK_ACTIONS = (
    *("ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"),
    *("ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"),
)
"""Permissions of a function's role in a VPC. (Lambda developer guide, "Required IAM permissions".)"""
_NETWORK_POLICY = {
    "PolicyName": "Network",
    "PolicyDocument": {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Network", "Effect": "Allow", "Action": list(_NETWORK_ACTIONS), "Resource": "*"}],
    },
}


def use_bootstrap(app: App, defaults: Defaults) -> None:
    """Select the accounts' bootstrap stacks. Call it before a stack is added."""
    if defaults.platform.bootstrap_qualifier:
        app.node.set_context("@aws-cdk/core:bootstrapQualifier", defaults.platform.bootstrap_qualifier)


def apply_platform(app: App, defaults: Defaults) -> None:
    """Apply the settings to all stacks, and write the version into each. Call it after the last stack is added."""
    for key, value in defaults.platform.tags.items():
        Tags.of(app).add(key, value)
    for stack in app.node.children:
        if isinstance(stack, Stack):
            CfnOutput(stack, VERSION_OUTPUT, value=version("coatcheck"), description="The version of this stack.")
            _apply(stack, defaults)


def _apply(stack: Stack, defaults: Defaults) -> None:
    platform, place = defaults.platform, Place(stack.account, stack.region)
    if platform.permissions_boundary:
        boundary = place.policy(platform.permissions_boundary)
        policy = iam.ManagedPolicy.from_managed_policy_arn(stack, "PermissionsBoundary", boundary.arn)
        iam.PermissionsBoundary.of(stack).apply(policy)
    if platform.access_log_bucket:
        name = platform.access_log_bucket.format(account=place.account, region=place.region)
        Aspects.of(stack).add(_AccessLogs(name))
    kinds = {node.cfn_resource_type for node in stack.node.find_all() if isinstance(node, CfnResource)}
    if kinds & {"AWS::Lambda::Function", "AWS::Logs::LogGroup"}:
        Aspects.of(stack).add(_Encryption(stack_key(stack, defaults)))
        Aspects.of(stack).add(_Concurrency(platform.reserved_concurrency))
    for network in platform.networks:
        if (network.account, network.region) == (place.account, place.region):
            Aspects.of(stack).add(_Network(network))


@jsii.implements(IAspect)
class _AccessLogs:
    """An aspect for access logs of buckets, below the bucket's name."""

    def __init__(self, bucket_name: str) -> None:
        self._bucket_name = bucket_name

    def visit(self, node: IConstruct) -> None:
        """Visit one construct of the tree."""
        if isinstance(node, s3.CfnBucket):
            node.logging_configuration = s3.CfnBucket.LoggingConfigurationProperty(
                destination_bucket_name=self._bucket_name, log_file_prefix=f"{node.bucket_name}/"
            )


@jsii.implements(IAspect)
class _Encryption:
    """An aspect that encrypts log groups and variables of functions with the stack's key."""

    def __init__(self, key: StackKey | None) -> None:
        self._key = key

    def visit(self, node: IConstruct) -> None:
        """Visit one construct of the tree."""
        if self._key and isinstance(node, logs.CfnLogGroup):
            node.kms_key_id = self._key.key_arn
        elif self._key and _is_function(node):
            node.add_property_override("KmsKeyArn", self._key.key_arn)


@jsii.implements(IAspect)
class _Concurrency:
    """An aspect that reserves concurrency for functions without an own limit."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit

    def visit(self, node: IConstruct) -> None:
        """Visit one construct of the tree."""
        own = isinstance(node, lambda_.CfnFunction) and node.reserved_concurrent_executions
        if self._limit and _is_function(node) and not own:
            node.add_property_override("ReservedConcurrentExecutions", self._limit)


@jsii.implements(IAspect)
class _Network:
    """An aspect that runs functions in a VPC, CDK's own functions included."""

    def __init__(self, network: FunctionNetworkConfig) -> None:
        self._configuration = {
            "SubnetIds": list(network.subnet_ids),
            "SecurityGroupIds": list(network.security_group_ids),
        }

    def visit(self, node: IConstruct) -> None:
        """Visit one construct of the tree."""
        if _is_function(node):
            node.add_property_override("VpcConfig", self._configuration)
        elif _is_function_role(node):
            node.add_property_override("Policies", [_NETWORK_POLICY])


def _is_function(node: IConstruct) -> TypeGuard[CfnResource]:
    """Return whether a construct is a function. CDK defines its own ones as generic resources."""
    return isinstance(node, CfnResource) and node.cfn_resource_type == lambda_.CfnFunction.CFN_RESOURCE_TYPE_NAME


def _is_function_role(node: IConstruct) -> TypeGuard[CfnResource]:
    """Return whether a construct is a function's role. All roles that are generic resources are."""
    if isinstance(node, iam.CfnRole):
        return "lambda.amazonaws.com" in str(Stack.of(node).resolve(node.assume_role_policy_document))
    return isinstance(node, CfnResource) and node.cfn_resource_type == iam.CfnRole.CFN_RESOURCE_TYPE_NAME
