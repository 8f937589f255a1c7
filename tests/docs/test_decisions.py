"""The form of decision records, and their index."""

import re
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
RECORDS = sorted(FOLDER.glob("0*.md"))
INDEX = (FOLDER / "README.md").read_text()
NOT_USED = re.compile(r"# \d+\. Not used\n")


def test_decision_numbers_have_no_gap() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name[:4])
def test_decision_is_complete_and_in_the_index(record: Path) -> None:
    text, number = record.read_text(), int(record.name[:4])
    heading = re.match(r"# (\d+)\. (.{1,60})\n", text)
    assert heading, "a title of at most 60 characters"
    assert int(heading[1]) == number
    if NOT_USED.fullmatch(text):
        assert f"| {number} | [Not used]({record.name}) |" in INDEX
        return
    form = r"^Status: (accepted|replaced by \d+)\. Date: (\S+)\. Replaces: (none|\d+)\.$"
    status = re.search(form, text, re.MULTILINE)
    assert status, "a line with status, date and replaced record"
    assert date.fromisoformat(status[2])
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:3] == ["Context", "Decision", "Consequences"]
    assert headings[3:] in ([], ["Alternatives"])
    assert f"| {number} | [{heading[2]}]({record.name}) | {status[1]} | {status[2]} |" in INDEX
