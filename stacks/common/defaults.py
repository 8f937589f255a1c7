"""Settings that all stacks of a deployment share."""

from aws_cdk import RemovalPolicy

from stacks.deployment import BaseDeployment


class Defaults:
    """Settings made once in app.py and passed to every stack."""

    def __init__(self, deployment: BaseDeployment) -> None:
        self.name = deployment.name
        """The deployment's name, which begins every physical name."""
        self.ephemeral = deployment.ephemeral
        self.organization = deployment.organization
        self.operations = deployment.operations
        self.platform = deployment.platform
        self.auto_delete_objects = deployment.ephemeral
        """Whether a bucket is emptied before it is deleted."""
        self.termination_protection = not deployment.ephemeral
        """Whether stacks with stateful resources have termination protection."""
        self.removal_policy = (
            RemovalPolicy.DESTROY if deployment.ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        )
        """The removal policy of stateful resources: DESTROY for an ephemeral deployment.

        Otherwise they are retained on update and delete. After a failed first deployment they are deleted with the
        stack: they are empty, and their names would block the next attempt.
        """
