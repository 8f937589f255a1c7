"""An organisation's settings, applied to all stacks in one place."""

from collections.abc import Callable
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
from stacks.deployment.names import VERSION_OUTPUT, Place
from stacks.deployment.platform import FunctionNetworkConfig

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
    platform, place, aspects = defaults.platform, Place(stack.account, stack.region), Aspects.of(stack)
    if platform.permissions_boundary:
        boundary = place.policy(platform.permissions_boundary)
        policy = iam.ManagedPolicy.from_managed_policy_arn(stack, "PermissionsBoundary", boundary.arn)
        iam.PermissionsBoundary.of(stack).apply(policy)
    if platform.access_log_bucket:
        name = platform.access_log_bucket.format(account=place.account, region=place.region)
        aspects.add(_Each(_log_access, name))
    kinds = {node.cfn_resource_type for node in stack.node.find_all() if isinstance(node, CfnResource)}
    if kinds & {"AWS::Lambda::Function", "AWS::Logs::LogGroup"}:
        if key := stack_key(stack, defaults):
            aspects.add(_Each(_encrypt, key))
        if platform.reserved_concurrency:
            aspects.add(_Each(_reserve_concurrency, platform.reserved_concurrency))
    for network in platform.networks:
        if (network.account, network.region) == (place.account, place.region):
            aspects.add(_Each(_connect, network))


@jsii.implements(IAspect)
class _Each:
    """An aspect that calls a function with each construct of the tree."""

    def __init__(self, apply: Callable[..., None], *values: object) -> None:
        self._apply, self._values = apply, values

    def visit(self, node: IConstruct) -> None:
        """Visit one construct of the tree."""
        self._apply(node, *self._values)


def _log_access(node: IConstruct, bucket_name: str) -> None:
    """Write a bucket's access logs below its name."""
    if isinstance(node, s3.CfnBucket):
        node.logging_configuration = s3.CfnBucket.LoggingConfigurationProperty(
            destination_bucket_name=bucket_name, log_file_prefix=f"{node.bucket_name}/"
        )


def _encrypt(node: IConstruct, key: StackKey) -> None:
    """Encrypt a log group, or the variables of a function, with the stack's key."""
    if isinstance(node, logs.CfnLogGroup):
        node.kms_key_id = key.key_arn
    elif _is_function(node):
        node.add_property_override("KmsKeyArn", key.key_arn)


def _reserve_concurrency(node: IConstruct, limit: int) -> None:
    """Reserve concurrency for a function without a limit of the deployment file."""
    own = isinstance(node, lambda_.CfnFunction) and node.reserved_concurrent_executions
    if _is_function(node) and not own:
        node.add_property_override("ReservedConcurrentExecutions", limit)


def _connect(node: IConstruct, network: FunctionNetworkConfig) -> None:
    """Run a function in a VPC, CDK's own functions included."""
    if _is_function(node):
        subnets, groups = list(network.subnet_ids), list(network.security_group_ids)
        node.add_property_override("VpcConfig", {"SubnetIds": subnets, "SecurityGroupIds": groups})
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
