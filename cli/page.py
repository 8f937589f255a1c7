"""A page for the terminal, and the same as JSON: sections with findings and facts."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_WIDTH = 150
"""Columns of output that does not go to a terminal, without COLUMNS in the environment."""


def output_console() -> Console:
    """Return the console of a command's output. Names and ids stay in one line in a file or a pipe."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, emoji=False, width=None if known else _WIDTH)


class Level(StrEnum):
    """The weight of a finding. Only problems change the exit code."""

    PROBLEM = "problem"
    NOTE = "note"
    NOT_ASKED = "not asked"
    """AWS did not allow the request, or does not offer it here."""


_NOUNS = {Level.PROBLEM: "problems", Level.NOTE: "notes", Level.NOT_ASKED: "not asked"}
_STYLES = {Level.PROBLEM: "bold red", Level.NOTE: "yellow", Level.NOT_ASKED: "cyan"}


@dataclass(frozen=True)
class Finding:
    """A sentence with the place, the problem and the remedy."""

    level: Level
    text: str


def problem(text: str) -> Finding:
    """Return a finding that changes the exit code."""
    return Finding(Level.PROBLEM, text)


def note(text: str) -> Finding:
    """Return a finding that does not change the exit code."""
    return Finding(Level.NOTE, text)


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    title: str
    summary: str
    findings: Sequence[Finding] = ()
    facts: Sequence[tuple[str, str]] = ()
    """Values with their nouns, such as `("12.00 USD", "KMS keys")`."""

    @property
    def level(self) -> Level | None:
        """The level of the gravest finding. None: no finding."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in Level if level in levels), None)


@dataclass(frozen=True)
class Page:
    """All sections for one deployment file."""

    title: str
    sections: Sequence[Section]

    @property
    def problems(self) -> list[str]:
        """The texts of all problems."""
        return [
            finding.text for section in self.sections for finding in section.findings if finding.level is Level.PROBLEM
        ]

    def show(self, console: Console) -> None:
        """Print the page. No line is longer than the console is wide."""
        console.print(Text(self.title, "bold"))
        width = max(len(section.title) for section in self.sections)
        for section in self.sections:
            line = Table.grid(padding=(0, 2, 0, 0))
            line.add_column(width=9)
            line.add_column(width=width)
            line.add_column(overflow="fold")
            line.add_row(_label(section.level), Text(section.title, "bold"), Text(section.summary))
            console.print(line)
            findings = _grid((_label(each.level, "- "), Text(each.text)) for each in section.findings)
            facts = _grid(((Text(value), Text(noun)) for value, noun in section.facts), justify="right")
            for grid in (findings, facts):
                if grid.rows:
                    console.print(Padding(grid, (0, 0, 0, 2), expand=False))
        console.print(Text(self._conclusion(), "bold"))

    def _conclusion(self) -> str:
        counts = Counter(finding.level for section in self.sections for finding in section.findings)
        shown = [level for level in Level if level is Level.PROBLEM or counts[level]]
        return ", ".join(f"{_NOUNS[level]}: {counts[level]}" for level in shown)

    def as_dict(self) -> dict[str, Any]:
        """Return the page as JSON's types."""
        return {
            "title": self.title,
            "ok": not self.problems,
            "sections": [
                {
                    "title": section.title,
                    "level": str(section.level or "ok"),
                    "summary": section.summary,
                    "findings": [{"level": str(each.level), "text": each.text} for each in section.findings],
                    "facts": [list(fact) for fact in section.facts],
                }
                for section in self.sections
            ],
        }


def _label(level: Level | None, prefix: str = "") -> Text:
    return Text(f"{prefix}{level}", _STYLES[level]) if level else Text("ok", "green")


def _grid(rows: Iterable[tuple[Text, Text]], justify: Literal["left", "right"] = "left") -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify=justify, no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def output(pages: Sequence[Page], *, as_json: bool) -> int:
    """Print the pages, and return the exit code: 1 with a problem, otherwise 0."""
    if as_json:
        print(json.dumps([page.as_dict() for page in pages], indent=2, ensure_ascii=False))
    else:
        console = output_console()
        for page in pages:
            page.show(console)
            console.print()
    return int(any(page.problems for page in pages))
