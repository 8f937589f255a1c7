"""A deployment made concrete: by ARN, every role and everything that has a policy. `access.policies` makes it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from access.template import Properties

Policy = dict[str, Any]
Statement = dict[str, Any]


@dataclass(frozen=True)
class Guarded:
    """Something with a policy of its own: bucket, key, topic, queue, function, bus, repository, endpoint of a VPC, or a
    role's trust.

    `policy` may have no statement at all. `properties` are the template's, not resolved, for what decides beside
    policies (such as a bucket's block of public access).
    """

    kind: str
    arn: str
    account: str
    region: str
    where: str
    policy: Policy
    properties: Properties


@dataclass(frozen=True)
class Role:
    """An IAM role: what it may do by its own policies, and the ARN of its permission boundary if it has one.

    `bounds` is what the boundary says: None without one, and also where it is in no template and was not given.
    """

    arn: str
    account: str
    where: str
    policies: tuple[Policy, ...]
    boundary: str | None = None
    bounds: Policy | None = None

    @property
    def name(self) -> str:
        return self.arn.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Thing:
    """Something without a policy of its own, which its account's roles act on."""

    kind: str
    arn: str
    account: str
    region: str
    where: str


@dataclass
class Concrete:
    """All of a deployment, by ARN."""

    guarded: dict[str, Guarded] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    things: dict[str, Thing] = field(default_factory=dict)
    regions: dict[str, str] = field(default_factory=dict)
    """Region of each stack."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Account of each stack."""

    def named(self, stack: str, construct: str, *, hashed: bool = True) -> str:
        """The ARN of what the construct of that path (`TaskRole` for `Task/Role`) in that stack became; for what
        CloudFormation names. CDK puts a hash behind all but the stack's own resources.

        Raises:
            KeyError: when there is not exactly one.
        """
        pattern = re.compile(rf"{re.escape(stack)}/{re.escape(construct)}{'[0-9A-F]{8}' if hashed else ''}")
        found = [each.arn for each in self._everything() if pattern.fullmatch(each.where)]
        if len(found) != 1:
            raise KeyError(f"{stack}/{construct}: {len(found)} resources, not 1")
        return found[0]

    def of_kind(self, kind: str) -> list[Guarded]:
        return [each for each in self.guarded.values() if each.kind == kind]

    def _everything(self) -> Iterator[Guarded | Role | Thing]:
        yield from self.roles.values()
        yield from (each for each in self.guarded.values() if each.kind != "role")
        yield from self.things.values()
