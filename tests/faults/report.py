"""The report of the campaign: tables for the terminal, and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from tests.faults.campaign import CampaignOutcome
from tests.faults.verdict import COLUMNS, Row, Verdict

_SUBSCRIBER_COLUMNS = tuple(name for name in COLUMNS if name != "injected")


def progress(console: Console, outcome: CampaignOutcome, seconds: float) -> None:
    """Print a line for a finished run."""
    reasons = Counter(dead_letter.reason for dead_letter in outcome.dead_letters)
    text = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common(4)) or "none"
    console.print(
        f"  {seconds:6.0f} s  {outcome.run.name}: {len(outcome.sent)} messages, "
        f"{sum(outcome.injected.values())} faults, dead letters: {text}",
        markup=False,
    )


def show(console: Console, verdict: Verdict) -> None:
    """Print the tables, the functions' errors, and the violations."""
    console.print(_table("Messages by run", "fault", [*verdict.rows, verdict.total]))
    console.print(_table("Deliveries by subscriber", "subscriber", verdict.subscribers, _SUBSCRIBER_COLUMNS))
    for function, errors in sorted(verdict.result.errors.items()):
        text = ", ".join(f"{name} {number:,}" for name, number in sorted(errors.items()))
        console.print(f"  {function} failed with: {text}", markup=False)
    for violation in verdict.violations:
        console.print(f"[red]✗[/] {violation}")


def _table(title: str, first: str, rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> Table:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column(first)
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(row.name, *(f"{getattr(row, name):,}" for name in columns))
    return table


def to_json(verdict: Verdict) -> dict[str, Any]:
    """Return the report as JSON-serialisable values."""
    injected: Counter[str] = Counter()
    for outcome in verdict.result.outcomes:
        injected.update(outcome.injected)
    return {
        "ok": verdict.ok,
        **_numbers(verdict.total),
        "by_fault": {row.name: _numbers(row) for row in verdict.rows},
        "by_subscriber": {row.name: _numbers(row, _SUBSCRIBER_COLUMNS) for row in verdict.subscribers},
        "injected_by_kind": dict(sorted(injected.items())),
        "failures_in_metrics": verdict.result.errors,
        "violations": verdict.violations,
    }


def _numbers(row: Row, columns: Sequence[str] = COLUMNS) -> dict[str, int]:
    return {name: getattr(row, name) for name in columns}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the JSON report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
