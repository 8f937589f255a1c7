"""The documentation of the last complete run: docs/bench.md and its chart.

python -m bench.report
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.chart import draw

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build" / "bench.json"
DOCUMENT = ROOT / "docs" / "bench.md"
CHART = ROOT / "docs" / "bench.svg"
INTRODUCTION = """\
# The library, measured

`make bench` measured these figures on {date}, and `python -m bench.report` wrote this page. The machine: {machine}.

Every measurement is a separate process. Clients take turns. A ratio is the median of the ratios within each turn, to
the faster of boto3 (`PutObject` and `GetObject`) and s3transfer. CPU time is the client's. Memory is the peak, less
the memory of the process after a payload of seven bytes.

Client and server share the processors, so the client's computations slow the server down. For comparison, *boto3,
SHA-256* computes the same digest, and some cases use a link of limited speed. "claim_check, str" publishes and
receives the whole payload as a `str`, as other clients do: its memory is that of the text.

![Memory and time by client](bench.svg)

| case | client | size | wall | CPU | wall ÷ boto3 | CPU ÷ boto3 | memory ÷ size | calls |
|---|---|--:|--:|--:|--:|--:|--:|---|
"""


def document(results: Iterable[dict[str, Any]], *, date: str, machine: str) -> str:
    """Return the page: an introduction and one table."""
    return INTRODUCTION.format(date=date, machine=machine) + "".join(map(_row, results))


def size(value: int | None) -> str:
    """Format a size as `1 MiB`, and None as an empty text."""
    if value is None:
        return ""
    unit, name = next((unit, name) for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")) if value >= unit)
    return f"{value / unit:g} {name}"


def seconds(value: float) -> str:
    """Format a time as `1.20 s`, `3.40 ms` or `199 µs`."""
    if value >= 0.1:
        return f"{value:.2f} s"
    return f"{value * 1000:.2f} ms" if value >= 0.001 else f"{value * 1e6:.0f} µs"


def number(value: float | None) -> str:
    """Format a number with two decimals, three below 0.1, and None as an empty text."""
    if value is None:
        return ""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def calls(value: dict[str, int] | None) -> str:
    """Format calls as `1 PutObject, 1 Publish`."""
    return ", ".join(f"{count} {name}" for name, count in (value or {}).items())


def _row(result: dict[str, Any]) -> str:
    cells = [
        result["case"],
        result["client"],
        size(result["size"]),
        seconds(result["wall_s"]),
        seconds(result["cpu_s"]),
        number(result["ratio_to_raw"]),
        number(result["cpu_ratio_to_raw"]),
        # A process needs more memory than a small payload. For that, the ratio has no meaning.
        number(result["rss_over_payload"]) if (result["size"] or 0) >= 2**20 else "",
        calls(result["api_calls"]),
    ]
    return f"| {' | '.join(cells)} |\n"


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return (
        f"{os.cpu_count()} processors ({model}), Python {platform.python_version()}, "
        f"boto3 {version('boto3')}, everything on one machine and over TLS"
    )


def main() -> None:
    """Write the page and its chart."""
    results = json.loads(RESULTS.read_text())
    date = datetime.fromtimestamp(RESULTS.stat().st_mtime, UTC).date().isoformat()
    DOCUMENT.write_text(document(results, date=date, machine=_machine()))
    CHART.write_text(draw(results))
    print(f"{DOCUMENT}\n{CHART}")


if __name__ == "__main__":
    main()
