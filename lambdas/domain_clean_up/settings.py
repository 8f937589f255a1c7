"""Settings of the two custom resources. They are properties, because they refer to the domain of the stack."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.settings import PropertySettings

GUARD = "Custom::DomainGuard"
CLEAN_UP = "Custom::DomainCleanUp"


@dataclass(frozen=True, kw_only=True)
class GuardSettings(PropertySettings):
    """Properties of `Custom::DomainGuard`."""

    fixed: Mapping[str, str]
    """Values that cannot be changed after the first deployment, by the key of the deployment file."""


@dataclass(frozen=True, kw_only=True)
class CleanUpSettings(PropertySettings):
    """Properties of `Custom::DomainCleanUp`."""

    domain_id: str
    profiles: tuple[str, ...]
    """User profiles of the template. CloudFormation deletes them."""
    spaces: tuple[str, ...]
    """Spaces of the template. CloudFormation deletes them."""
    pipelines: tuple[str, ...]
    """Names of the pipelines whose executions are stopped."""
    job_prefix: str
    """Beginning of the names of the jobs that are stopped."""
    log_groups: tuple[str, ...]
    """SageMaker's log groups, whose retention is set."""
    log_retention_days: int
    ephemeral: bool
    """Whether spaces and their volumes may be deleted."""
    retained: tuple[str, ...]
    """Resources that remain after the stack's deletion, for the log."""
