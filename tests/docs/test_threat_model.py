"""The threat model's rows: each names a check that exists."""

import re
from pathlib import Path

import pytest

from tests.docs.evidence import missing_tests

PAGE = Path(__file__).parents[2] / "docs" / "threat-model.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.count("|") == 4 and not line.startswith(("|---", "| attacker"))
]
OTHER_CHECKS = re.compile(r"prover|table of settings|\(\.\./|`tests/|^the same$")


def test_rows_are_found() -> None:
    assert len(ROWS) > 30


@pytest.mark.parametrize(("attack", "evidence"), [(row[0], row[2]) for row in ROWS])
def test_protection_is_shown_by_an_existing_check(attack: str, evidence: str) -> None:
    assert missing_tests(PAGE, evidence) == [], attack
    for path in re.findall(r"`(tests/[^`]+)`", evidence):
        assert (PAGE.parents[1] / path).exists(), attack
    assert OTHER_CHECKS.search(evidence), attack
