"""Every broken policy is noticed. A survivor fails, and says what nobody noticed."""

import pytest

from tests.policies.mutants import BY_HAND, every_way
from tests.policies.simulator import Simulator
from tests.policies.verdict import Judged, caught

pytestmark = pytest.mark.exhaustive


def test_what_a_hostile_reader_thinks_of(in_organization: Judged, simulator: Simulator) -> None:
    noticed = {each.name: caught(in_organization, each.of(in_organization.stacks), simulator) for each in BY_HAND}
    survivors = [name for name, by in noticed.items() if not by]
    assert not survivors
    assert len(noticed) == len(BY_HAND) >= 60
    # Either engine alone would notice most: they were written apart, and read the same templates.
    assert sum("prover" in by for by in noticed.values()) > 110
    assert sum("matrix" in by for by in noticed.values()) > 95


def test_every_part_of_every_statement_is_needed(in_organization: Judged) -> None:
    mutants = list(every_way(in_organization.stacks))
    survivors = [each.name for each in mutants if not caught(in_organization, each.of(in_organization.stacks), None)]
    assert not survivors
    assert len(mutants) > 300
