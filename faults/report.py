"""What the campaign found: a table for a person, and JSON for a program."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from faults.campaign import Outcome
from faults.verdict import Row, Verdict


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
    """The table, what is broken, and what the metrics counted."""
    table = Table(box=SIMPLE_HEAD, title="What was sent, and what became of it", title_justify="left")
    table.add_column("fault")
    for name in ("sent", "faults", "dead letters", "handed on", "lost", "corrupt", "doubled"):
        table.add_column(name, justify="right")
    for row in verdict.rows:
        table.add_row(*_cells(row))
    table.add_section()
    table.add_row(*_cells(verdict.total), style="bold")
    console.print(table)
    for function, errors in sorted(verdict.result.errors.items()):
        counted = ", ".join(f"{name} {number:,}" for name, number in sorted(errors.items()))
        console.print(f"  {function} failed with: {counted}", markup=False)
    for sentence in verdict.broken:
        console.print(f"[red]✗[/] {sentence}")


def _cells(row: Row) -> list[str]:
    fields = asdict(row)
    return [fields.pop("name"), *(f"{number:,}" for number in fields.values())]


def to_json(verdict: Verdict) -> dict[str, Any]:
    """The sums over all lots, each lot by its fault's name, and what did not hold."""
    totals = asdict(verdict.total)
    del totals["name"]
    injected: Counter[str] = Counter()
    for outcome in verdict.result.outcomes:
        injected.update(outcome.injected)
    return {
        "ok": verdict.ok,
        **totals,
        "by_fault": {row.name: {k: v for k, v in asdict(row).items() if k != "name"} for row in verdict.rows},
        "injected_by_kind": dict(sorted(injected.items())),
        "failures_in_metrics": verdict.result.errors,
        "broken": verdict.broken,
    }


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
