"""What becomes of stateful resources when their stack goes."""

from aws_cdk import RemovalPolicy

from stacks.deployment import Head


def removal_policy(deployment: Head) -> RemovalPolicy:
    """Retained, unless the deployment says that it is ephemeral.

    Retained on update and delete, but not when the stack's very first deployment fails and is rolled back: what is left
    of it would be empty, and its names would be in the way of the next attempt.
    """
    return RemovalPolicy.DESTROY if deployment.ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
