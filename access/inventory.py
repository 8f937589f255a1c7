"""Roles and resource policies of a deployment, by ARN. `access.policies` reads them from templates."""

from dataclasses import dataclass, field
from typing import Any

from access.template import Properties, Resources

Policy = dict[str, Any]
Statement = dict[str, Any]


@dataclass(frozen=True)
class ResourcePolicy:
    """A resource that can have a policy, such as a bucket, a key, a topic, or a role with its trust policy."""

    kind: str
    arn: str
    account: str
    region: str
    where: str
    """Stack and logical id."""
    policy: Policy
    """The policy. Without statements if the template has none."""
    properties: Properties
    """The unresolved properties in the template. Some restrict access too, such as a bucket's public access block."""


@dataclass(frozen=True)
class Role:
    """An IAM role with its own policies."""

    arn: str
    account: str
    where: str
    policies: tuple[Policy, ...]
    boundary: str | None = None
    """The ARN of the permissions boundary."""
    bounds: Policy | None = None
    """The policy document of the permissions boundary. None if it is not known."""

    @property
    def name(self) -> str:
        """The role's name without its path."""
        return self.arn.rsplit("/", 1)[1]


@dataclass(frozen=True)
class OtherResource:
    """A resource without a policy, which roles of its account act on."""

    kind: str
    arn: str
    account: str
    region: str
    where: str


@dataclass
class Inventory:
    """The roles and resources of a deployment, by ARN."""

    stacks: dict[str, Resources] = field(default_factory=dict)
    """The resources of each stack, by the stack's name."""
    resource_policies: dict[str, ResourcePolicy] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    other_resources: dict[str, OtherResource] = field(default_factory=dict)
    documents: int = 0
    """The number of policy documents that were read. A Lambda permission counts as one."""

    def of_kind(self, kind: str) -> list[ResourcePolicy]:
        """Return the resources of a kind, such as `bucket`, with their policies."""
        return [resource for resource in self.resource_policies.values() if resource.kind == kind]
