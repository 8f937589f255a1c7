"""Reference pages of commands, metrics and the library. Alarms: tests/stacks/common/test_alarms.py."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.test_commands import COMMANDS
from tests.docs.test_pages import ROOT
from tools.reference import ALARMS, LIBRARY, _escaped, commands, library, render

FUNCTIONS = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "lambdas").glob("*/*.py")))
METRICS = ALARMS.read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "generate"), [(ROOT / "docs" / "commands.md", commands), (LIBRARY, library)])
def test_page_is_up_to_date(page: Path, generate: Callable[[], str]) -> None:
    assert page.read_text(encoding="utf-8") == render(page, generate()), "run: make docs"


def test_every_command_has_a_section_with_its_options() -> None:
    sections = re.split(r"^### (.+)\n", commands(), flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert texts.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        assert options == set(re.findall(r"^- `(--[a-z-]+)", texts[name], re.MULTILINE))


def test_every_metric_of_the_functions_has_a_row() -> None:
    written = re.findall(r"add_metric\(name=(\S+),", FUNCTIONS)
    assert len(written) == FUNCTIONS.count("add_metric(")
    names = {name.strip('"') for name in written} - {"type(error).__name__"}
    rows = set(re.findall(r"^\| `(\w+)` \|", METRICS.partition("## Alarms")[0], re.MULTILINE))
    assert rows == names


def test_markdown_of_a_docstring_is_text() -> None:
    assert _escaped("DIR/<id> and `a_b`, a_c") == r"DIR/\<id> and `a_b`, a\_c"
