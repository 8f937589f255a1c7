"""Mutants of templates: each is found. The tests fail with the names of mutants without a finding."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from access.assembly import AssemblyError
from access.findings import (
    Case,
    counterexamples,
    unintended_grants,
    unintended_principals,
    unmatched,
    unnamed_sessions,
)
from access.inventory import ResourcePolicy, Role
from access.policies import read_inventory
from access.prover import Counterexample, Unmodelled
from access.table import PROVED, TABLE, Expected, Free, Lifecycle, differences, resource_problems
from tests.policies.cases import BOUNDARIES, VARIANTS, changed_policies
from tests.policies.mutants import Mutant, property_mutants, statement_mutants
from tests.policies.simulator import Request, Simulator, question

EQUIVALENT = re.compile(
    "KeyPolicy.*: any action|(additional value|more values|any value) of sns:Endpoint"
    r"|/PublishRole.*Statement\.5: without kms:(Decrypt|GenerateDataKey)"
)
"""Mutants that change no decision: all actions of a key's service, endpoints that another statement denies, and uses of
a key that another statement of the role allows too."""
SHARE = 3
"""One in so many of the 9,000 mutants is tried: each takes 20 to 60 ms."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", VARIANTS)
def test_statement_mutants_are_found(name: str, simulator: Simulator) -> None:
    """iam-simulate decides each counterexample like the prover, with the mutant's policy and with the sound one."""
    case, seen = VARIANTS[name](), set[str]()
    every = [mutant for stack in case.stacks for mutant in statement_mutants(stack, seen)]
    assert len(every) > 100
    survivors, answers = [], list[bool | None]()
    for mutant in (mutant for mutant in every if zlib.crc32(mutant.name.encode()) % SHARE == 0):
        found = _statement_finding(case, mutant)
        if not found and not EQUIVALENT.search(mutant.name):
            survivors.append(mutant.name)
        if isinstance(found, Found):
            agreement = found.agreement(simulator)
            assert agreement is not False, f"{mutant.name}: {found.counterexample}"
            answers.append(agreement)
    # With one subscriber, the statement that denies other endpoints suffices.
    alone = "without sns:Endpoint" if name == "research-messages" else "-"
    assert not [survivor for survivor in survivors if not survivor.endswith(alone)]
    # Some counterexamples have a resource or a context that AWS does not have.
    assert answers.count(True) > 10


@dataclass(frozen=True)
class Found:
    """The prover's counterexample of a mutant, and the policies that decide it."""

    counterexample: Counterexample
    mutant: ResourcePolicy | Role
    sound: ResourcePolicy | Role

    def agreement(self, simulator: Simulator) -> bool | None:
        """Return whether iam-simulate agrees. None: AWS has no such request."""
        if not self.counterexample.possible:
            return None
        request, allowed = Request.of(self.counterexample), self.counterexample.allowed
        answers = [simulator.ask(question(policy, request)) for policy in (self.mutant, self.sound)]
        return None if None in answers else answers == [allowed, not allowed]


def _statement_finding(sound: Case, mutant: Mutant) -> Found | str | None:
    """Return the finding of a mutant. A statement does not change names, so that the intent is the same."""
    try:
        case = replace(sound, inventory=read_inventory(mutant.apply(sound.stacks), BOUNDARIES))
        found = next(counterexamples(case, changed_policies(sound, case)), None)
    except (AssemblyError, Unmodelled) as error:
        return str(error)
    if not found:
        return next(
            chain(unmatched(case), unintended_principals(case), unintended_grants(case), unnamed_sessions(case)), None
        )
    kind = "roles" if found.request["caller"] == found.arn else "resource_policies"
    before, after = (getattr(inventory, kind)[found.arn] for inventory in (sound.inventory, case.inventory))
    # iam-simulate decides a VPC endpoint's policy together with others.
    return str(found) if getattr(after, "kind", "") == "endpoint" else Found(found, after, before)


def test_property_mutants_are_found(variant: Case) -> None:
    """Each property, and each value in it, is dropped and replaced by another account's."""
    mutants = 0
    for name, resources in variant.intent.resources.items():
        stack = variant.inventory.stacks[name]
        for construct, expected in resources.items():
            logical = stack.logical(construct)
            resource = stack.all[logical]
            properties = stack.resolve(resource.get("Properties", {}), logical)
            for path, changed in property_mutants(properties):
                if not _is_free(expected, path):
                    mutants += 1
                    found = resource_problems(stack, logical, {**resource, "Properties": changed}, expected)
                    assert next(found, None), f"{name}/{logical}: {path}"
    assert mutants > 500


def _is_free(expected: Expected, path: tuple[Any, ...]) -> bool:
    """Return whether the table leaves a value free, or to the prover."""
    node: Any = expected.properties
    for step in path:
        if isinstance(node, Free | Lifecycle):
            return True
        node = node[step] if isinstance(node, dict | list) else None
    return isinstance(node, Free)


def test_removal_policies_are_checked(variant: Case) -> None:
    for name, resources in variant.intent.resources.items():
        stack = variant.inventory.stacks[name]
        for construct, expected in resources.items():
            logical = stack.logical(construct)
            for key, value in expected.removal.items():
                other = {"Retain": "Delete", "Delete": "Retain"}.get(value, "Delete")
                assert list(resource_problems(stack, logical, stack.all[logical] | {key: other}, expected))


def _unused() -> Iterator[tuple[str, str]]:
    for kind in TABLE:
        if not kind.startswith("Custom::"):
            schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
            yield from ((kind, name) for name in schema["properties"].keys() - TABLE[kind].keys())


def test_unused_properties_are_found() -> None:
    """Every property of CloudFormation's schema that no template has."""
    unused = list(_unused())
    for kind, name in unused:
        assert any(name in problem for problem in differences(dict(TABLE[kind]), {name: "any"}, ""))
    assert len(unused) > 300


@pytest.mark.parametrize(
    "rule",
    [
        {"Id": "ExpirePayloads", "ExpirationInDays": 100, "Status": "Enabled"},
        {"Id": "ExpirePayloads", "ExpirationDate": "2030-01-01T00:00:00Z", "Status": "Enabled"},
        {
            "Id": "Archive",
            "Transitions": [{"StorageClass": "DEEP_ARCHIVE", "TransitionInDays": 1}],
            "Status": "Enabled",
        },
    ],
)
def test_lifecycle_keeps_payloads(rule: dict[str, object]) -> None:
    assert list(Lifecycle(101).problems({"Rules": [rule]}, "LifecycleConfiguration"))
    assert not list(Lifecycle(100).problems({"Rules": [{"Id": "x", "ExpirationInDays": 100}]}, ""))
    for name, problems in (("GLACIER_IR", 0), ("GLACIER", 1)):
        transition = {"Id": "x", "Transitions": [{"StorageClass": name, "TransitionInDays": 1}]}
        assert len(list(Lifecycle(100).problems({"Rules": [transition]}, ""))) == problems


def test_free_values_have_a_reason() -> None:
    free = {rule.reason for rows in TABLE.values() for rule in rows.values() if isinstance(rule, Free)}
    assert PROVED.reason in free
    assert all(len(reason) > 10 for reason in free)
