"""Roles and resource policies of a deployment, by ARN. `access.policies` reads them from templates."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from access.template import Properties

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

    resource_policies: dict[str, ResourcePolicy] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    other_resources: dict[str, OtherResource] = field(default_factory=dict)
    regions: dict[str, str] = field(default_factory=dict)
    """The Region of each stack."""
    accounts: dict[str, str] = field(default_factory=dict)
    """The account of each stack."""

    def arn_of(self, stack: str, construct: str, *, hashed: bool = True) -> str:
        """Return the ARN of a resource that CloudFormation names, by stack and construct path without separators.

        `TaskRole` is the path of `Task/Role`. CDK appends a hash, except to resources directly below the stack.

        Raises:
            KeyError: there is not exactly one such resource.
        """
        pattern = re.compile(rf"{re.escape(stack)}/{re.escape(construct)}{'[0-9A-F]{8}' if hashed else ''}")
        arns = [resource.arn for resource in self._all() if pattern.fullmatch(resource.where)]
        if len(arns) != 1:
            raise KeyError(f"{stack}/{construct}: {len(arns)} resources, not 1")
        return arns[0]

    def of_kind(self, kind: str) -> list[ResourcePolicy]:
        """Return the resources of a kind, such as `bucket`, with their policies."""
        return [resource for resource in self.resource_policies.values() if resource.kind == kind]

    def _all(self) -> Iterator[ResourcePolicy | Role | OtherResource]:
        yield from self.roles.values()
        yield from (resource for resource in self.resource_policies.values() if resource.kind != "role")
        yield from self.other_resources.values()
