"""Writes the last complete run into the documentation: docs/bench.md, and the picture beside it.

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
PICTURE = ROOT / "docs" / "bench.svg"
INTRODUCTION = """\
# The library, measured

Written by `python -m bench.report` from what `make bench` measured on {date}: {machine}. Every figure is a process of
its own; systems take turns, and a ratio is the median over the turns of the ratio within a turn, to the faster of
boto3's two ways (`PutObject` and `GetObject` by hand, and s3transfer). CPU time is the client's. Memory is the peak
beside what the process takes for a payload of seven bytes. Client and server share the processors, so what a client
computes beside sending takes time from the server: compare with *boto3, SHA-256*, which is the same digest by hand, and
with the cases over a link of a given speed. "claim_check, str" is handed a `str` of the whole payload, and asked for
one, as other clients are: the memory is the text's own.

![Memory and time by system](bench.svg)

| case | system | size | wall | CPU | wall ÷ boto3 | CPU ÷ boto3 | memory ÷ size | calls |
|---|---|--:|--:|--:|--:|--:|--:|---|
"""


def document(results: Iterable[dict[str, Any]], *, date: str, machine: str) -> str:
    """The results as a page: an introduction and one table."""
    return INTRODUCTION.format(date=date, machine=machine) + "".join(map(_row, results))


def size(value: int | None) -> str:
    """`1 MiB`; nothing for None."""
    if value is None:
        return ""
    unit, name = next((unit, name) for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")) if value >= unit)
    return f"{value / unit:g} {name}"


def seconds(value: float) -> str:
    """`1.20 s`, `3.40 ms` or `199 µs`."""
    if value >= 0.1:
        return f"{value:.2f} s"
    return f"{value * 1000:.2f} ms" if value >= 0.001 else f"{value * 1e6:.0f} µs"


def number(value: float | None) -> str:
    """Two decimals, three below a tenth; nothing for None."""
    if value is None:
        return ""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def calls(value: dict[str, int] | None) -> str:
    """`1 PutObject, 1 Publish`."""
    return ", ".join(f"{count} {name}" for name, count in (value or {}).items())


def _row(result: dict[str, Any]) -> str:
    cells = [
        result["case"],
        result["system"],
        size(result["size"]),
        seconds(result["wall_s"]),
        seconds(result["cpu_s"]),
        number(result["ratio_to_raw"]),
        number(result["cpu_ratio_to_raw"]),
        # What a process takes anyway is more than a small payload: no ratio worth printing.
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
    results = json.loads(RESULTS.read_text())
    date = datetime.fromtimestamp(RESULTS.stat().st_mtime, UTC).date().isoformat()
    DOCUMENT.write_text(document(results, date=date, machine=_machine()))
    PICTURE.write_text(draw(results))
    print(f"{DOCUMENT}\n{PICTURE}")


if __name__ == "__main__":
    main()
