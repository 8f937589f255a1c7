"""Mutants of templates: each is found. The tests fail with the names of mutants without a finding."""

import copy
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, cycle
from typing import Any

import pytest

from access.findings import (
    Case,
    counterexamples,
    unintended_grants,
    unintended_principals,
    unnamed_sessions,
)
from access.intent import build_intent
from access.inventory import Role, as_list
from access.policies import foreign_resource
from access.prover import Counterexample, Unmodelled
from access.table import PROVED, TABLE, Dashboard, Expected, Free, Json, Rule, Text, differences, resource_problems
from access.template import UnresolvedError
from tests.policies.cases import OTHER_ACCOUNT, VARIANTS, Node
from tests.policies.mutants import Mutant, property_mutants, replaced, statement_mutants, values
from tests.policies.simulator import Request, Simulator, question
from tests.stacks.schemas import schema

EQUIVALENT = re.compile(
    " key .*: any action|(additional value|more values|any value) of sns:Endpoint"
    "|/PublishRole.* own kms:.*: without kms:(Decrypt|GenerateDataKey)"
    "|bus PutEventsFrom111111111111: (any action|all other actions)"
)
"""Mutants that change no decision: all actions of a key's service, endpoints that another statement denies, uses of a
key that another statement of the role allows too, and more actions for the account that owns a bus."""


SHARE = 3
"""One in so many of the 9,000 mutants is tried: all take five minutes of a processor, and `make check` has twelve."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", VARIANTS)
def test_statement_mutants_are_found(name: str, simulator: Simulator) -> None:
    """iam-simulate decides each counterexample like the prover, with the mutant's policy and with the sound one."""
    case, survivors, answers = VARIANTS[name](), [], list[bool | None]()
    mutants = list(statement_mutants(case.inventory, set()))
    assert len(mutants) > 100
    for mutant in (mutant for mutant in mutants if zlib.crc32(mutant.name.encode()) % SHARE == 0):
        found = _statement_finding(case, mutant)
        if not found and not EQUIVALENT.search(mutant.name):
            survivors.append(mutant.name)
        if isinstance(found, Counterexample):
            agreement = _agreement(found, mutant, simulator)
            assert agreement is not False, f"{mutant.name}: {found}"
            answers.append(agreement)
    # With one subscriber, the statement that denies other endpoints suffices.
    alone = "without sns:Endpoint" if name == "research-messages" else "-"
    assert not [survivor for survivor in survivors if not survivor.endswith(alone)]
    # Some counterexamples have a resource or a context that AWS does not have.
    assert answers.count(True) > 10


def _statement_finding(case: Case, mutant: Mutant) -> Counterexample | str | None:
    broken = mutant.broken
    mutated = Case(case.deployment, case.stacks, mutant.inventory, case.intent)
    try:
        if found := next(counterexamples(mutated, broken.arn), None):
            return found
    except Unmodelled as error:
        return str(error)
    problems = (
        [] if isinstance(broken, Role) else [foreign_resource(broken.kind, broken.arn, s) for s in broken.statements]
    )
    judged = unintended_principals(mutated), unintended_grants(mutated), unnamed_sessions(mutated)
    return next(chain(filter(None, problems), *judged), None)


def _agreement(found: Counterexample, mutant: Mutant, simulator: Simulator) -> bool | None:
    """Return whether iam-simulate agrees. None: AWS has no such request, or another policy decides it too."""
    if not found.possible or getattr(mutant.sound, "kind", "") == "endpoint":
        return None
    request = Request.of(found)
    answers = [simulator.ask(question(policy, request)) for policy in (mutant.broken, mutant.sound)]
    return None if None in answers else answers == [found.allowed, not found.allowed]


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
    """Return whether the table leaves a value free, or to the prover, or to the mutants of texts."""
    node: Any = expected.properties
    for step in path:
        if isinstance(node, dict | list):
            node = node[step]
    return isinstance(node, Rule) and not isinstance(node, Json)


LEADING_ELSEWHERE = (
    *("https://other.example.com", f"arn:aws:sns:us-east-1:{OTHER_ACCOUNT}:other", OTHER_ACCOUNT),
    *("af-south-1", "help@other.example.com"),
)


def test_mutants_of_texts_are_found(variant: Case) -> None:
    """Each text that people read, and each one in a dashboard, leads to another address, account or Region."""
    mutants = 0
    for name, resources in variant.intent.resources.items():
        stack = variant.inventory.stacks[name]
        for construct, expected in resources.items():
            properties = stack.resolve(stack.all[stack.logical(construct)].get("Properties", {}), construct)
            for path, rule in expected.properties.items():
                if isinstance(rule, Text) and path in properties:
                    mutants += 1
                    for other in LEADING_ELSEWHERE:
                        assert list(differences(rule, f"{properties[path]} {other}", path)), construct
                if isinstance(rule, Dashboard):
                    for changed in _dashboards(json.loads(properties[path])):
                        mutants += 1
                        assert list(differences(rule, json.dumps(changed), path)), changed
    assert mutants > 20


def _dashboards(body: Node) -> Iterator[Node]:
    """Yield copies of a dashboard with a changed text, without an alarm, and with what another account has."""
    for (path, value), other in zip(values(body["widgets"]), cycle(LEADING_ELSEWHERE), strict=False):
        if isinstance(value, str):
            yield {"widgets": replaced(body["widgets"], path, f"{value} {other}")}
        if path[-1] == "region":
            yield {"widgets": replaced(body["widgets"], path, "af-south-1")}
        if path[-1] == "alarms":
            yield {"widgets": replaced(body["widgets"], path, value[1:])}
        if path[-1] == "stat":
            yield {"widgets": replaced(body["widgets"], (*path[:-1], "accountId"), OTHER_ACCOUNT)}
    yield {"widgets": [*body["widgets"], {"type": "custom", "properties": {"endpoint": "x"}}]}


def test_removal_and_order_mutants_are_found(variant: Case) -> None:
    for name, resources in variant.intent.resources.items():
        stack = variant.inventory.stacks[name]
        for construct, expected in resources.items():
            logical = stack.logical(construct)
            before = as_list(stack.all[logical].get("DependsOn"))
            other = {"Retain": "Delete", "Delete": "Retain"}
            changes: list[dict[str, Any]] = [
                *({key: other.get(value, "Delete")} for key, value in expected.removal.items()),
                *({"DependsOn": [*before[:index], *before[index + 1 :]]} for index, _ in enumerate(before)),
                {"DependsOn": [*before, next(added for added in stack.all if added not in before)]},
            ]
            for change in changes:
                found = resource_problems(stack, logical, stack.all[logical] | change, expected)
                assert next(found, None), f"{name}/{logical}: {change}"


def test_mutants_of_code_and_protection_are_found(variant: Case) -> None:
    """Each asset is dropped, has another's files, a changed or one more file; each stack's protection is changed."""
    for name, resources in variant.inventory.stacks.items():
        stack, mutants = resources.stack, [replace(resources.stack, protected=not resources.stack.protected)]
        assets = {key: asset for key, asset in stack.assets.items() if not key.endswith(".json")}
        others = [asset.files for asset in assets.values()][:2]
        for key, asset in assets.items():
            changed = [
                *(replace(asset, files=files) for files in others if files != asset.files),
                replace(asset, construct=f"{asset.construct}2"),
                replace(asset, files={**asset.files, next(iter(asset.files)): "0" * 64}),
                replace(asset, files={**asset.files, "sitecustomize.py": "0" * 64}),
            ]
            if "Context" not in asset.construct:  # of a context, a stage may use a part
                changed.append(replace(asset, files=dict([*asset.files.items()][1:])))
            mutants += [replace(stack, assets={**stack.assets, key: mutant}) for mutant in changed]
        for mutated in mutants:
            copied = copy.copy(resources)
            copied.stack = mutated
            inventory = replace(variant.inventory, stacks={**variant.inventory.stacks, name: copied})
            with pytest.raises(UnresolvedError):
                build_intent(variant.deployment, inventory)


def test_unused_properties_are_found(variant: Case) -> None:
    """Every property of CloudFormation's schema that a resource does not have."""
    unused = {
        (expected.type, name): expected
        for resources in variant.intent.resources.values()
        for expected in resources.values()
        if not expected.type.startswith("Custom::")
        for name in schema(expected.type)["properties"].keys() - expected.properties.keys()
    }
    for (_, name), expected in unused.items():
        assert any(name in problem for problem in differences(expected.properties, {name: "any"}, ""))
    assert len(unused) > 100


def test_free_values_have_a_reason() -> None:
    free = {rule.reason for rows in TABLE.values() for rule in rows.values() if isinstance(rule, Free)}
    assert PROVED.reason in free
    assert all(len(reason) > 10 for reason in free)
