"""A whole deployment, judged by everything there is: the reader, the settings, the prover, the matrix."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from access.assembly import StackTemplate
from access.inventory import Inventory, ResourcePolicy
from access.policies import read_inventory
from access.template import UnresolvedError
from stacks.deployment import Deployment, ResearchDeployment
from tests.policies import matrix
from tests.policies.intent import intent
from tests.policies.prover import (
    Counterexample,
    Undecided,
    Unmodelled,
    patience,
    prove_boundary,
    prove_guard,
    prove_role,
)
from tests.policies.research_settings import wrong_in_research
from tests.policies.rows import Changed, first_disagreement
from tests.policies.settings import idle_principals, wrong_in_messaging
from tests.policies.simulator import Simulator
from tests.policies.terms import Intent, research_names
from tests.templates import ROOT

BOUNDARIES = {
    "arn:aws:iam::555555555555:policy/research-boundary": json.loads(
        (ROOT / "deployments" / "research-boundary.json").read_text(encoding="utf-8")
    )
}
"""What the permission boundaries of the examples say, which administrators make before they deploy."""


@dataclass(frozen=True)
class Judged:
    """A deployment's templates, what they come to, and what they were meant to come to."""

    deployment: Deployment | ResearchDeployment
    stacks: tuple[StackTemplate, ...]
    found: Inventory
    intent: Intent

    @property
    def messaging(self) -> Deployment:
        """The deployment, which is one with messages."""
        assert isinstance(self.deployment, Deployment)
        return self.deployment


def judged(deployment: Deployment | ResearchDeployment, stacks: tuple[StackTemplate, ...]) -> Judged:
    found = read_inventory(stacks, BOUNDARIES)
    return Judged(deployment, stacks, found, intent(deployment, found))


def unaccounted(case: Judged) -> list[str]:
    """What the templates have and the intent has not, or the other way round."""
    both = (
        (set(case.found.resource_policies), set(case.intent.guards)),
        (set(case.found.roles), set(case.intent.jobs)),
    )
    return [
        f"{arn} is {where}"
        for there, meant in both
        for arns, where in ((there - meant, "in the templates alone"), (meant - there, "in the intent alone"))
        for arn in sorted(arns)
    ]


def settings(case: Judged) -> list[str]:
    return [
        *(f"{where}: {problem}" for stack in case.stacks for where, problem in _wrong(case, stack)),
        *idle_principals(case.found, case.intent),
    ]


def _wrong(case: Judged, stack: StackTemplate) -> Iterator[tuple[str, str]]:
    research = case.deployment.research
    if research and stack.name == research_names(case.deployment).stack:
        return wrong_in_research(case.deployment, research, stack, case.found)
    return wrong_in_messaging(case.messaging, stack, case.found)


def counterexamples(case: Judged, arns: Iterable[str] | None = None) -> Iterator[Counterexample]:
    """What the prover finds, about these or about everything; as it finds it."""
    for arn in sorted(arns if arns is not None else {*case.found.resource_policies, *case.found.roles}):
        if arn in case.found.resource_policies:
            yield from prove_guard(case.found.resource_policies[arn], case.intent.guards[arn])
        if arn in case.found.roles:
            yield from prove_role(case.found.roles[arn], case.intent.jobs[arn])
    for boundary, left in case.intent.boundaries.items():
        if arns is None:
            yield from prove_boundary(boundary, BOUNDARIES[boundary], left)


def caught(sound: Judged, broken: tuple[StackTemplate, ...], simulator: Simulator | None) -> dict[str, str]:
    """Who notices that these templates are broken, and the first thing each says. Empty: a survivor.

    The engines are asked only about what differs from the sound templates. `simulator` None leaves the matrix out.
    """
    try:
        case = judged(sound.deployment, broken)
    except (UnresolvedError, KeyError) as refusal:
        return {"reader": str(refusal)}
    noticed = {}
    if missing := unaccounted(case):
        return {"reader": missing[0]}
    if wrong := settings(case):
        noticed["settings"] = wrong[0]
    changed = _changed(sound, case)
    noticed |= _by_prover(case, changed.guarded | changed.roles, seconds=3)
    if simulator:
        rows = matrix.rows(case.deployment, case.found, case.intent, about=changed)
        if difference := first_disagreement(rows, simulator):
            noticed["matrix"] = str(difference)
    # Nobody yet: a machine can be busy, and three seconds be few.
    return noticed or _by_prover(case, changed.guarded | changed.roles, seconds=30)


def _by_prover(case: Judged, arns: Iterable[str], *, seconds: float) -> dict[str, str]:
    try:
        with patience(seconds):
            example = next(counterexamples(case, arns), None)
    except Undecided:
        return {}  # of a sound deployment that is a failure; here it is no proof that anybody noticed
    except Unmodelled as refusal:
        return {"reader": str(refusal)}
    return {"prover": str(example)} if example else {}


def _changed(sound: Judged, broken: Judged) -> Changed:
    def deciding(each: ResourcePolicy) -> object:
        return each.policy, each.properties.get("PublicAccessBlockConfiguration")

    guarded, roles = sound.found.resource_policies, sound.found.roles
    return Changed(
        frozenset(
            arn for arn, each in broken.found.resource_policies.items() if deciding(each) != deciding(guarded[arn])
        ),
        frozenset(arn for arn, each in broken.found.roles.items() if each != roles[arn]),
    )
