"""The mutants of the example deployment. The test fails with the names of mutants that no check finds."""

import pytest

from tests.policies.checks import Case, findings
from tests.policies.mutants import MUTANTS, generated_mutants
from tests.policies.simulator import Simulator

pytestmark = pytest.mark.exhaustive


def test_mutants_are_found(in_organization: Case, simulator: Simulator) -> None:
    stacks = in_organization.stacks
    found = {mutant.name: findings(in_organization, mutant.apply(stacks), simulator) for mutant in MUTANTS}
    survivors = [name for name, by_check in found.items() if not by_check]
    assert not survivors
    assert len(found) == len(MUTANTS) > 140
    # Each engine finds most of them without the other.
    assert sum("prover" in by_check for by_check in found.values()) > 90
    assert sum("matrix" in by_check for by_check in found.values()) > 70


def test_generated_mutants_are_found(in_organization: Case) -> None:
    stacks = in_organization.stacks
    mutants = list(generated_mutants(stacks))
    survivors = [mutant.name for mutant in mutants if not findings(in_organization, mutant.apply(stacks), None)]
    assert not survivors
    assert len(mutants) > 700
