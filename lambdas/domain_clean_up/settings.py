"""Settings of the two custom resources. They are properties, because they refer to the domain of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GUARD = "Custom::DomainGuard"
CLEAN_UP = "Custom::DomainCleanUp"


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """Properties of `Custom::DomainGuard`: settings that are fixed when a domain is created."""

    auth_mode: str
    domain_name: str
    kms_key_id: str
    identity_center: str
    """ARN of the Identity Center instance, or `none`."""

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> GuardSettings:
        """Read the settings. Raises KeyError with the name of a missing property."""
        return cls(
            auth_mode=properties["AuthMode"],
            domain_name=properties["DomainName"],
            kms_key_id=properties["KmsKeyId"],
            identity_center=properties["IdentityCenter"],
        )

    def to_properties(self) -> dict[str, str]:
        """Return the properties of the custom resource."""
        return {
            "AuthMode": self.auth_mode,
            "DomainName": self.domain_name,
            "KmsKeyId": self.kms_key_id,
            "IdentityCenter": self.identity_center,
        }


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
    job_role: str
    """ARN of the role of the jobs that are stopped."""
    ephemeral: bool
    """Whether spaces and their volumes may be deleted."""
    retained: tuple[str, ...]
    """Resources that remain after the stack's deletion, for the log."""

    @classmethod
    def from_properties(cls, properties: Mapping[str, Any]) -> CleanUpSettings:
        """Read the settings. Raises KeyError with the name of a missing property."""
        return cls(
            domain_id=properties["DomainId"],
            profiles=tuple(properties["Profiles"]),
            spaces=tuple(properties["Spaces"]),
            pipelines=tuple(properties["Pipelines"]),
            job_prefix=properties["JobPrefix"],
            job_role=properties["JobRole"],
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
            "JobRole": self.job_role,
            "Ephemeral": "true" if self.ephemeral else "false",
            "Retained": list(self.retained),
        }
