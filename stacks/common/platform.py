"""An organisation's settings, applied to all stacks in one place."""

from importlib.metadata import version

from aws_cdk import App, CfnOutput, Stack, Tags
from aws_cdk import aws_iam as iam

from stacks.deployment.names import Place
from stacks.deployment.platform import PlatformConfig

VERSION_OUTPUT = "CoatcheckVersion"
"""The output of each stack with the version of coatcheck that made it. A tag would change every resource."""


def use_bootstrap(app: App, platform: PlatformConfig) -> None:
    """Select the accounts' bootstrap stacks. Call it before a stack is added."""
    if platform.bootstrap_qualifier:
        app.node.set_context("@aws-cdk/core:bootstrapQualifier", platform.bootstrap_qualifier)


def apply_platform(app: App, platform: PlatformConfig) -> None:
    """Apply the settings to all stacks, and write the version into each."""
    for key, value in platform.tags.items():
        Tags.of(app).add(key, value)
    for stack in app.node.children:
        if isinstance(stack, Stack):
            _apply(stack, platform)


def _apply(stack: Stack, platform: PlatformConfig) -> None:
    CfnOutput(stack, VERSION_OUTPUT, value=version("coatcheck"), description="The version that made this stack.")
    if platform.permissions_boundary:
        boundary = Place(stack.account, stack.region).policy(platform.permissions_boundary)
        policy = iam.ManagedPolicy.from_managed_policy_arn(stack, "PermissionsBoundary", boundary.arn)
        iam.PermissionsBoundary.of(stack).apply(policy)
