"""The page: 80 columns without colour, and JSON."""

import json

import pytest
from rich.console import Console

from cli.page import Finding, Level, Page, Section, note, output, problem

LONG = f'subscribers[0].name = "orders": arn:aws:sqs:us-west-2:222222222222:{"q" * 80} is too long. Shorten it.'
PAGE = Page(
    "deployments/prod.toml",
    [
        Section("File", "is valid"),
        Section("Policy sizes", "fullest " * 20, [problem(LONG), note("[bold]not markup[/bold]")], [("20%", LONG)]),
        Section("Stacks", "", [Finding(Level.NOT_ASKED, "sns:ListSubscriptions")]),
    ],
)


def test_page_fits_80_columns_without_colour(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert output([PAGE], as_json=False) == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.isascii()
    assert LONG.replace(" ", "") in "".join(printed.split())
    assert "[bold]not markup[/bold]" in printed
    assert printed.rstrip().endswith("problems: 1, notes: 1, not asked: 1")


def test_page_is_coloured_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    PAGE.show(Console(force_terminal=True, color_system="standard", width=80))
    assert "\x1b[" in capsys.readouterr().out


@pytest.mark.parametrize(("level", "code"), [(Level.PROBLEM, 1), (Level.NOTE, 0), (Level.NOT_ASKED, 0)])
def test_only_problems_change_the_exit_code(level: Level, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert output([Page("", [Section("File", "", [Finding(level, "text")])])], as_json=True) == code
    (page,) = json.loads(capsys.readouterr().out)
    assert page["ok"] == (code == 0)
    assert page["sections"][0]["level"] == level
    assert page["sections"][0]["findings"] == [{"level": level, "text": "text"}]
