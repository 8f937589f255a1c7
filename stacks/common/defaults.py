"""Settings that all stacks of a deployment share."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import RemovalPolicy

from stacks.deployment import BaseDeployment, OperationsConfig


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """Made once in app.py and passed to every stack."""

    name: str
    """The deployment's name, which begins every physical name."""
    ephemeral: bool
    organization: str | None
    operations: OperationsConfig

    @classmethod
    def of(cls, deployment: BaseDeployment) -> Defaults:
        """Return the defaults that a deployment file sets."""
        return cls(
            name=deployment.name,
            ephemeral=deployment.ephemeral,
            organization=deployment.organization,
            operations=deployment.operations,
        )

    @property
    def removal_policy(self) -> RemovalPolicy:
        """The removal policy of stateful resources: DESTROY for an ephemeral deployment.

        Otherwise they are retained on update and delete, but not when the stack's first deployment fails and is rolled
        back: they would be empty, and their names would block the next attempt.
        """
        return RemovalPolicy.DESTROY if self.ephemeral else RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE

    @property
    def auto_delete_objects(self) -> bool:
        """Whether a bucket is emptied before it is deleted."""
        return self.ephemeral

    @property
    def termination_protection(self) -> bool:
        """Whether stacks with stateful resources refuse to be deleted."""
        return not self.ephemeral
