"""What becomes of stateful resources when their stack goes."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_ecr as ecr

from stacks.deployment import BaseDeployment


def removal_policy(deployment: BaseDeployment) -> RemovalPolicy:
    """Retained, unless the deployment says that it is ephemeral.

    Retained on update and delete, but not when the stack's very first deployment fails and is rolled back: what is left
    of it would be empty, and its names would be in the way of the next attempt.
    """
    return RemovalPolicy.DESTROY if deployment.ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE


def empty_when_deleted(repository: ecr.Repository) -> None:
    """Whatever its removal policy: where it is retained, nothing deletes it but a first deployment that failed after
    its image was built, which could not be tried again. CDK has this for repositories that are always deleted alone."""
    cfn = repository.node.default_child
    assert isinstance(cfn, ecr.CfnRepository)
    cfn.empty_on_delete = True
