"""The mutants of the example deployment. The test fails with the names of mutants that no check finds."""

import pytest

from stacks.deployment import load
from tests.policies.checks import Case, findings, read_case
from tests.policies.mutants import MUTANTS, Mutant, drop, generated_mutants
from tests.policies.simulator import Simulator
from tests.templates import ROOT

pytestmark = pytest.mark.exhaustive


def test_mutants_are_found(in_organization: Case, simulator: Simulator) -> None:
    stacks = in_organization.stacks
    found = {mutant.name: findings(in_organization, mutant.apply(stacks), simulator) for mutant in MUTANTS}
    survivors = [name for name, by_check in found.items() if not by_check]
    assert not survivors
    assert len(found) == len(MUTANTS) > 150
    # Each engine finds most of them without the other.
    assert sum("prover" in by_check for by_check in found.values()) > 90
    assert sum("matrix" in by_check for by_check in found.values()) > 70


def test_generated_mutants_are_found(in_organization: Case) -> None:
    stacks = in_organization.stacks
    mutants = list(generated_mutants(stacks))
    survivors = [mutant.name for mutant in mutants if not findings(in_organization, mutant.apply(stacks), None)]
    assert not survivors
    assert len(mutants) > 700


def test_mutant_of_pipeline_rule_is_found() -> None:
    """The rule of the pipeline trigger, which the example does not have."""
    case = read_case(load(ROOT / "deployments" / "research-messages.toml"))
    (stack,) = {stack.name for stack in case.stacks if "PipelineTrigger" in str(stack.template)}
    mutant = Mutant(
        "another bus", lambda t: drop(t.find(stack, "AWS::Events::Rule", "PipelineTriggerProcessed"), "EventBusName")
    )
    assert findings(case, mutant.apply(case.stacks), None)
