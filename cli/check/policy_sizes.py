"""Sizes of the policies in templates, next to the limits of AWS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from access.inventory import Inventory, Policy
from access.template import Properties, Resources

NEARLY_FULL = 0.9
"""Share of a limit from which a note is made."""


class Limit(NamedTuple):
    """The maximum size of a policy."""

    bytes: int
    noun: str
    remedy: str


_FEWER = "Use fewer subscribers or senders, or divide them between two deployments."
RESOURCE_LIMITS: Mapping[str, Limit] = {
    "bucket": Limit(20_480, "bucket policy", _FEWER),
    "bus": Limit(10_240, "event bus policy", "Use fewer accounts in [[senders]]."),
    "function": Limit(20_480, "function policy", _FEWER),
    "key": Limit(32_768, "key policy", _FEWER),
    "queue": Limit(8_192, "queue policy", _FEWER),
    "repository": Limit(10_240, "repository policy", _FEWER),
    "role": Limit(2_048, "trust policy", "Use fewer principals, such as reader_principals, or request an increase."),
    "topic": Limit(30_720, "topic policy", _FEWER),
    "endpoint": Limit(20_480, "endpoint policy", "Use fewer buckets."),
}
"""The limit of each kind of resource. (The guide of each service, "Quotas".)"""
INLINE = Limit(10_240, "inline policies of a role", "Use fewer permissions, or divide the subscriber.")
"""All inline policies of a role together, without white space. (IAM user guide, "IAM and AWS STS quotas".)"""
MANAGED = Limit(6_144, "managed policy", "Divide it.")


class Size(NamedTuple):
    """The size of a policy."""

    where: str
    """Name and stack of the resource or role."""
    bytes: int
    limit: Limit

    @property
    def share(self) -> float:
        """The used part of the limit."""
        return self.bytes / self.limit.bytes


def sizes(inventory: Inventory) -> Iterator[Size]:
    """Yield the size of every policy: one for each resource and each role, and one for each managed policy."""
    for resource in inventory.resource_policies.values():
        yield Size(
            _place(resource.where.partition("/")[0], resource.arn),
            _bytes(resource.policy),
            RESOURCE_LIMITS[resource.kind],
        )
    for resources in inventory.stacks.values():
        for arn, documents in inline_policies(resources).items():
            yield Size(_place(resources.stack.name, arn), sum(map(_bytes, documents)), INLINE)
        for logical in resources.of_type("AWS::IAM::ManagedPolicy"):
            document = resources.resolve(resources.properties(logical)["PolicyDocument"], logical)
            yield Size(_place(resources.stack.name, logical), _bytes(document), MANAGED)


def _place(stack: str, arn: str) -> str:
    return f"{re.split('[:/]', arn)[-1]}, in {stack}"


def inline_policies(resources: Resources) -> dict[str, list[Policy]]:
    """Return the inline policies of a stack's roles, by the role's ARN."""
    documents: dict[str, list[Policy]] = {}
    for logical in resources.of_type("AWS::IAM::Role"):
        own = [policy["PolicyDocument"] for policy in resources.properties(logical).get("Policies", [])]
        documents[resources.arn(logical)] = [resources.resolve(document, logical) for document in own]
    for logical in resources.of_type("AWS::IAM::Policy"):
        properties: Properties = resources.resolve(resources.properties(logical), logical)
        for role in properties["Roles"]:
            arn = f"arn:{resources.partition}:iam::{resources.stack.account}:role/{role}"
            documents.setdefault(arn, []).append(properties["PolicyDocument"])
    return documents


def largest(inventory: Inventory) -> list[Size]:
    """Return the largest policy of each kind, the fullest first."""
    by_noun: dict[str, Size] = {}
    for size in sizes(inventory):
        if size.share > by_noun.get(size.limit.noun, size._replace(bytes=-1)).share:
            by_noun[size.limit.noun] = size
    return sorted(by_noun.values(), key=lambda size: -size.share)


def _bytes(policy: Policy) -> int:
    return len(json.dumps(policy, separators=(",", ":"), ensure_ascii=False).encode())
