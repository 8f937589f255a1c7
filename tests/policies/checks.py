"""All checks of a deployment's policies: the reader, the settings, the prover and the access matrix."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from access.assembly import StackTemplate
from access.inventory import Inventory, ResourcePolicy
from access.policies import read_inventory
from access.template import UnresolvedError
from stacks.deployment import Deployment, ResearchDeployment
from tests.policies import matrix
from tests.policies.intent import build_intent
from tests.policies.prover import (
    Counterexample,
    Undecided,
    Unmodelled,
    prove_boundary,
    prove_resource_policy,
    prove_role,
    solver_timeout,
)
from tests.policies.research_settings import research_problems
from tests.policies.rows import Changes, first_disagreement
from tests.policies.settings import messaging_problems, unintended_principals
from tests.policies.simulator import Simulator
from tests.policies.terms import Intent, research_names
from tests.templates import ROOT, synthesize

BOUNDARIES = {
    "arn:aws:iam::555555555555:policy/research-boundary": json.loads(
        (ROOT / "deployments" / "research-boundary.json").read_text(encoding="utf-8")
    )
}
"""The policies of the examples' permissions boundaries, which administrators create before they deploy."""


@dataclass(frozen=True)
class Case:
    """A deployment's templates, its inventory, and its intent."""

    deployment: Deployment | ResearchDeployment
    stacks: tuple[StackTemplate, ...]
    inventory: Inventory
    intent: Intent

    @property
    def messaging(self) -> Deployment:
        """The deployment, which is one with messages."""
        assert isinstance(self.deployment, Deployment)
        return self.deployment


def read_case(deployment: Deployment | ResearchDeployment, stacks: tuple[StackTemplate, ...] | None = None) -> Case:
    """Read a deployment's templates, by default those that it is synthesized to."""
    stacks = stacks or synthesize(deployment)
    inventory = read_inventory(stacks, BOUNDARIES)
    return Case(deployment, stacks, inventory, build_intent(deployment, inventory))


def assert_as_intended(case: Case) -> None:
    """Check that a deployment's policies and settings are the intended ones. The matrix is not asked."""
    assert not unmatched(case)
    assert not wrong_settings(case)
    found = list(counterexamples(case))
    assert not found, "\n\n".join(map(str, found))


def unmatched(case: Case) -> list[str]:
    """Return the resources and roles that are only in the templates or only in the intent."""
    pairs = (
        (set(case.inventory.resource_policies), set(case.intent.resource_policies)),
        (set(case.inventory.roles), set(case.intent.role_permissions)),
    )
    return [
        f"{arn} is only in the {place}"
        for templates, intent in pairs
        for arns, place in ((templates - intent, "templates"), (intent - templates, "intent"))
        for arn in sorted(arns)
    ]


def wrong_settings(case: Case) -> list[str]:
    return [
        *(f"{place}: {problem}" for stack in case.stacks for place, problem in _problems(case, stack)),
        *unintended_principals(case.inventory, case.intent),
    ]


def _problems(case: Case, stack: StackTemplate) -> Iterator[tuple[str, str]]:
    research = case.deployment.research
    if research and stack.name == research_names(case.deployment).stack:
        return research_problems(case.deployment, research, stack, case.inventory)
    return messaging_problems(case.messaging, stack, case.inventory)


def counterexamples(case: Case, arns: Iterable[str] | None = None) -> Iterator[Counterexample]:
    """Yield the prover's counterexamples for some resources and roles, by default for all."""
    inventory, intent = case.inventory, case.intent
    for arn in sorted(arns if arns is not None else {*inventory.resource_policies, *inventory.roles}):
        if arn in inventory.resource_policies:
            yield from prove_resource_policy(inventory.resource_policies[arn], intent.resource_policies[arn])
        if arn in inventory.roles:
            yield from prove_role(inventory.roles[arn], intent.role_permissions[arn])
    for boundary, permissions in intent.boundaries.items():
        if arns is None:
            yield from prove_boundary(boundary, BOUNDARIES[boundary], permissions)


def findings(sound: Case, broken: tuple[StackTemplate, ...], simulator: Simulator | None) -> dict[str, str]:
    """Return the first finding of each check in broken templates. Empty: the mutant survives.

    The engines check only the differences to the sound templates. Without a simulator the matrix is not asked.
    """
    try:
        case = read_case(sound.deployment, broken)
    except (UnresolvedError, KeyError) as error:
        return {"reader": str(error)}
    if missing := unmatched(case):
        return {"reader": missing[0]}
    found = {}
    if wrong := wrong_settings(case):
        found["settings"] = wrong[0]
    changes = _changes(sound, case)
    found |= _prover_finding(case, changes.resources | changes.roles, seconds=3)
    if simulator:
        rows = matrix.rows(case.deployment, case.inventory, case.intent, changes=changes)
        if disagreement := first_disagreement(rows, simulator):
            found["matrix"] = str(disagreement)
    # On a busy machine the prover can need more than three seconds.
    return found or _prover_finding(case, changes.resources | changes.roles, seconds=30)


def _prover_finding(case: Case, arns: Iterable[str], *, seconds: float) -> dict[str, str]:
    try:
        with solver_timeout(seconds):
            example = next(counterexamples(case, arns), None)
    except Undecided:
        return {}  # a failure for a sound deployment, but no proof that the mutant was found
    except Unmodelled as error:
        return {"reader": str(error)}
    return {"prover": str(example)} if example else {}


def _changes(sound: Case, broken: Case) -> Changes:
    def decisive(resource: ResourcePolicy) -> object:
        return resource.policy, resource.properties.get("PublicAccessBlockConfiguration")

    policies, roles = sound.inventory.resource_policies, sound.inventory.roles
    return Changes(
        frozenset(
            arn
            for arn, resource in broken.inventory.resource_policies.items()
            if decisive(resource) != decisive(policies[arn])
        ),
        frozenset(arn for arn, role in broken.inventory.roles.items() if role != roles[arn]),
    )
