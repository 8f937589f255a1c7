"""The table of promises: those of the README, each with a place where it was shown."""

import re
from pathlib import Path

import pytest

from cli.scenario.promises import PROMISES
from tests.docs.evidence import missing_tests

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "verified.md"
README = (ROOT / "README.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().partition("## Promises")[2].splitlines()
    if line.count("|") == 6 and not line.startswith(("|---", "| promise"))
]


def plain(text: str) -> str:
    """Return a text of Markdown on one line, without links and bold type."""
    return re.sub(r"\s+", " ", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).replace("**", ""))


def sentences(text: str) -> list[str]:
    return [each.strip("- ") for each in re.split(r"(?<=\.)\s+(?=[-A-Z`]|coatcheck also)", plain(text).strip())]


def test_every_promise_of_the_readme_has_a_row() -> None:
    (introduction,) = re.findall(r"(?<=Regions\. )Applications .*?(?=\n\n)", README, re.S)
    (how,) = re.findall(r"^- A \*\*publisher.*?(?=\[A trial\])", README, re.S | re.M)
    promised = sentences(introduction) + sentences(how)
    assert len(promised) > 14
    assert [each for each in promised if each not in {row[0] for row in ROWS}] == []


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_row_is_a_sentence_of_the_readme_with_evidence(row: list[str]) -> None:
    promise, _, on_aws, emulated, other = row
    assert promise in plain(README)
    assert on_aws == "not recorded" or re.fullmatch(r"\[\d{4}-\d\d-\d\d\]\(runs/[^)]+\.md\)", on_aws)
    assert emulated
    assert other
    assert missing_tests(PAGE, emulated + other) == []


def test_names_are_those_of_the_report() -> None:
    assert {name for row in ROWS for name in re.findall(r"`(\w+)`", row[1])} == set(PROMISES)
