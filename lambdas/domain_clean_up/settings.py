"""Settings of the two custom resources. They are properties, because they refer to the domain of the stack."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.settings import Properties

GUARD = "Custom::DomainGuard"
CLEAN_UP = "Custom::DomainCleanUp"


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """Properties of `Custom::DomainGuard`."""

    fixed: dict[str, str]
    """Values that cannot be changed after the first deployment, by the key of the deployment file."""

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> GuardSettings:
        """Read the settings. Raises InvalidSettings with the name of a missing property."""
        properties = Properties(properties)
        return cls(fixed=json.loads(properties["Fixed"]))

    def to_properties(self, to_json: Callable[[Any], str] = json.dumps) -> dict[str, str]:
        """Return the properties of the custom resource. `to_json` is the stack's, for values that it does not know."""
        return {"Fixed": to_json(self.fixed)}


@dataclass(frozen=True, kw_only=True)
class CleanUpSettings:
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

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> CleanUpSettings:
        """Read the settings. Raises InvalidSettings with the name of a missing property."""
        properties = Properties(properties)
        return cls(
            domain_id=properties["DomainId"],
            profiles=tuple(properties["Profiles"]),
            spaces=tuple(properties["Spaces"]),
            pipelines=tuple(properties["Pipelines"]),
            job_prefix=properties["JobPrefix"],
            log_groups=tuple(properties["LogGroups"]),
            log_retention_days=int(properties["LogRetentionDays"]),
            ephemeral=properties["Ephemeral"] == "true",
            retained=tuple(properties["Retained"]),
        )

    def to_properties(self) -> dict[str, Any]:
        """Return the properties of the custom resource."""
        return {
            "DomainId": self.domain_id,
            "Profiles": list(self.profiles),
            "Spaces": list(self.spaces),
            "Pipelines": list(self.pipelines),
            "JobPrefix": self.job_prefix,
            "LogGroups": list(self.log_groups),
            "LogRetentionDays": str(self.log_retention_days),
            "Ephemeral": "true" if self.ephemeral else "false",
            "Retained": list(self.retained),
        }
