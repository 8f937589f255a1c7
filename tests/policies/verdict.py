"""A whole deployment, judged by everything there is: the reader, the settings, the prover, the matrix."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cli.assembly import StackTemplate
from cli.concrete import Concrete, UnresolvedError, concrete
from stacks.deployment import Deployment
from tests.policies import matrix
from tests.policies.intent import Intent, intent
from tests.policies.prover import Counterexample, Unmodelled, prove_guard, prove_role
from tests.policies.settings import idle_principals, wrong_settings
from tests.policies.simulator import Simulator


@dataclass(frozen=True)
class Judged:
    """A deployment's templates, what they come to, and what they were meant to come to."""

    deployment: Deployment
    stacks: tuple[StackTemplate, ...]
    found: Concrete
    intent: Intent


def judged(deployment: Deployment, stacks: tuple[StackTemplate, ...]) -> Judged:
    found = concrete(stacks)
    return Judged(deployment, stacks, found, intent(deployment, found))


def unaccounted(case: Judged) -> list[str]:
    """What the templates have and the intent has not, or the other way round."""
    both = ((set(case.found.guarded), set(case.intent.guards)), (set(case.found.roles), set(case.intent.jobs)))
    return [
        f"{arn} is {where}"
        for there, meant in both
        for arns, where in ((there - meant, "in the templates alone"), (meant - there, "in the intent alone"))
        for arn in sorted(arns)
    ]


def settings(case: Judged) -> list[str]:
    return [
        *wrong_settings(case.deployment, case.stacks, case.found),
        *idle_principals(case.found, case.intent),
    ]


def counterexamples(case: Judged, arns: Iterable[str] | None = None) -> Iterator[Counterexample]:
    """What the prover finds, about these or about everything; as it finds it."""
    for arn in sorted(arns if arns is not None else {*case.found.guarded, *case.found.roles}):
        if arn in case.found.guarded:
            yield from prove_guard(case.found.guarded[arn], case.intent.guards[arn])
        if arn in case.found.roles:
            yield from prove_role(case.found.roles[arn], case.intent.jobs[arn])


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
    changed = {arn for arn, each in case.found.guarded.items() if each != sound.found.guarded[arn]}
    changed |= {arn for arn, each in case.found.roles.items() if each != sound.found.roles[arn]}
    try:
        if example := next(counterexamples(case, changed), None):
            noticed["prover"] = str(example)
    except Unmodelled as refusal:
        noticed["reader"] = str(refusal)
    if simulator:
        rows = matrix.rows(case.deployment, case.found, case.intent, about=changed)
        if difference := matrix.first_disagreement(rows, simulator):
            noticed["matrix"] = str(difference)
    return noticed
