"""Roles and resource policies of a deployment, by ARN. `access.policies` reads them from templates."""

from dataclasses import dataclass, field
from typing import Any

from access.template import Resources

Policy = dict[str, Any]
Statement = dict[str, Any]
ALL_EXCEPT = "all principals except"


@dataclass(frozen=True)
class ResourcePolicy:
    """A resource that can have a policy, such as a bucket, a key, a topic, or a role with its trust policy."""

    kind: str
    arn: str
    account: str
    where: str
    """Stack and logical id."""
    policy: Policy
    """The policy. Without statements if the template has none."""

    @property
    def statements(self) -> list[Statement]:
        """The statements of the policy."""
        own: list[Statement] = self.policy["Statement"]
        return own


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

    @property
    def statements(self) -> list[Statement]:
        """The statements of all its policies."""
        return [statement for policy in self.policies for statement in policy["Statement"]]


@dataclass
class Inventory:
    """The roles and resources of a deployment, by ARN."""

    stacks: dict[str, Resources] = field(default_factory=dict)
    """The resources of each stack, by the stack's name."""
    resource_policies: dict[str, ResourcePolicy] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    other_resources: set[str] = field(default_factory=set)
    """The ARNs of resources without a policy, which roles of their account act on."""
    documents: int = 0
    """The number of policy documents that were read. A Lambda permission counts as one."""


def as_list(value: Any) -> list[Any]:
    """Return the values of a policy's element, which is one value or several. None has no value."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def principals(statement: Statement) -> list[tuple[str, str]]:
    """Return the kinds and names of a statement's principals, such as `AWS` and an ARN."""
    if "NotPrincipal" in statement:
        return [("AWS", f"{ALL_EXCEPT} {statement['NotPrincipal']}")]
    named = statement.get("Principal")
    by_kind = named if isinstance(named, dict) else {"AWS": named}
    return [(kind, str(value)) for kind, values in by_kind.items() for value in as_list(values)]
