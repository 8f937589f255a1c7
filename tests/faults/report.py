"""What the campaign found: a table for a person, and JSON for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.faults.campaign import Outcome
from tests.faults.verdict import COUNTED, Row, Verdict

_HANDED = tuple(name for name in COUNTED if name != "injected")
"""What is counted for a subscriber: a fault is nobody's in particular."""


def progress(console: Console, outcome: Outcome, seconds: float) -> None:
    """A line for a lot that is done."""
    reasons = Counter(letter.reason for letter in outcome.dead_letters)
    why = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common(4)) or "none"
    console.print(
        f"  {seconds:6.0f} s  {outcome.lot.name}: {len(outcome.sent)} messages, "
        f"{sum(outcome.injected.values())} faults, dead letters: {why}",
        markup=False,
    )


def show(console: Console, verdict: Verdict) -> None:
    """The tables, what is broken, and what the metrics counted."""
    console.print(_table("What was sent, and what became of it", "fault", [*verdict.rows, verdict.total]))
    console.print(_table("What each subscriber was handed", "subscriber", verdict.subscribers, _HANDED))
    for function, errors in sorted(verdict.result.errors.items()):
        counted = ", ".join(f"{name} {number:,}" for name, number in sorted(errors.items()))
        console.print(f"  {function} failed with: {counted}", markup=False)
    for sentence in verdict.broken:
        console.print(f"[red]✗[/] {sentence}")


def _table(title: str, what: str, rows: Iterable[Row], counted: Sequence[str] = COUNTED) -> Table:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column(what)
    for name in counted:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(row.name, *(f"{getattr(row, name):,}" for name in counted))
    return table


def _counted(row: Row) -> dict[str, int]:
    return {name: getattr(row, name) for name in COUNTED}


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The sums over all lots, each lot by its fault's name, each subscriber, and what did not hold."""
    injected: Counter[str] = Counter()
    for outcome in verdict.result.outcomes:
        injected.update(outcome.injected)
    return {
        "ok": verdict.ok,
        **_counted(verdict.total),
        "by_fault": {row.name: _counted(row) for row in verdict.rows},
        "by_subscriber": {row.name: {name: getattr(row, name) for name in _HANDED} for row in verdict.subscribers},
        "injected_by_kind": dict(sorted(injected.items())),
        "failures_in_metrics": verdict.result.errors,
        "broken": verdict.broken,
    }


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
