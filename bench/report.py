"""Tables of the results: lines while `python -m bench` runs, and the tables and the chart of docs/bench.md.

    python -m bench.report [RESULTS]      # writes docs/bench.md and docs/bench.svg; RESULTS is build/bench.json

A comment precedes each table of the page: `<!-- run -->`, `<!-- profiles -->`, `<!-- sources -->`, or a comment such as
`<!-- time publish_file 64MiB instance,task -->`. The latter has a column for each way, size and profile. Its first word
is `time` (of claim_check, then of the others as multiples), `memory` or `cpu`.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, product
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from bench.chart import Bar, Panel, draw
from bench.clients import CLIENTS
from bench.network import MB, PROFILES, SOURCES

ROOT = Path(__file__).parents[1]
PAGE, CHART = ROOT / "docs" / "bench.md", ROOT / "docs" / "bench.svg"
UNITS = {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10}
REFERENCE = "claim_check"
SIZE = 64 * 2**20  # of the chart
CHARTED = ("instance", "instance-far", "task", "function", "function-512", "function-far")
_MARKER = re.compile(
    r"(<!-- ((?:run|profiles|sources|time|memory|cpu)\b[^>]*) -->\n)(?:(?:\||Measured|Not measured).*\n)*"
)


class Row(NamedTuple):
    """The results of one client: medians of seconds, the largest memory in bytes, CPU seconds a GiB.

    `ratio` is the wall time divided by claim_check's in the same turn: median, least and most.
    """

    client: str
    wall: float
    ratio: tuple[float, float, float] | None
    memory: int
    cpu: float
    calls: dict[str, int]
    failed: int


def rows(results: Iterable[dict[str, Any]], profile: str, way: str, size: int) -> Iterator[Row]:
    """Yield a row for each client of a case. A client that always failed has no row."""
    case = (profile, way, size)
    runs = [result for result in results if (result["profile"], result["way"], result["size"]) == case]
    reference = {run["turn"]: run["wall"] for run in runs if run["client"] == REFERENCE and "wall" in run}
    for client in dict.fromkeys(run["client"] for run in runs):
        mine = [run for run in runs if run["client"] == client]
        good = [run for run in mine if "wall" in run]
        ratios = [run["wall"] / reference[run["turn"]] for run in good if run["turn"] in reference]
        if good:
            yield Row(
                client,
                statistics.median(run["wall"] for run in good),
                (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None,
                max(run["memory"] for run in good),
                statistics.median(run["cpu"] for run in good) * 2**30 / (size * COUNTS.get(way, 1)),
                good[0]["calls"],
                len(mine) - len(good),
            )


def show(results: list[dict[str, Any]], profile: str, way: str, size: int) -> None:
    """Print a case."""
    print(f"\n{PROFILES[profile].title}: {way.replace('_', ' ')}, {size_text(size)}")
    for row in rows(results, profile, way, size):
        calls = ", ".join(f"{count} {name}" for name, count in row.calls.items())
        failed = f"  {row.failed} FAILED" if row.failed else ""
        figures = f"{seconds(row.wall):>8} {ratio(row):<18} {memory(row):>9} {cpu(row):>7}"
        print(f"  {row.client:<26} {figures}  {calls}{failed}", flush=True)


def render(page: str, report: dict[str, Any]) -> str:
    """Return the page with its tables replaced."""
    return _MARKER.sub(lambda match: match[1] + "".join(f"{line}\n" for line in _lines(match[2], report)), page)


def _lines(marker: str, report: dict[str, Any]) -> Iterator[str]:
    match marker.split():
        case ["run"]:
            run = report["run"]
            turns = 1 + max(result["turn"] for result in report["results"])
            busy = ": the machine was busy" if run["load"] > 1 else ""
            yield (
                f"Measured on {run['date']} at commit {run['commit']}: {turns} turn{'s' * (turns > 1)}, "
                f"{run['machine']}, Python {run['python']}, boto3 {run['boto3']}. "
                f"The load average before the run was {run['load']:.1f}{busy}."
            )
        case ["profiles"]:
            yield from _table(_profiles())
        case ["sources"]:
            yield from _table([("figure", "source"), *SOURCES.items()])
        case [kind, *names]:
            table = list(_table(_cases(report["results"], kind, *(name.split(",") for name in names))))
            yield from table if table[2:] else ["Not measured in this run."]


def _profiles() -> Iterator[tuple[str, ...]]:
    yield "profile", "", "a connection", "the host", "round trip", "first byte", "processors"
    for name, profile in PROFILES.items():
        limits = (profile.rate, profile.host)
        rates = ["no limit" if limit == inf else f"{limit / MB:,.0f} MB/s" for limit in limits]
        times = [f"{time * 1000:g} ms" for time in (profile.round_trip, profile.first_byte)]
        yield (
            f"`{name}`",
            profile.title,
            *rates,
            *times,
            "" if profile.processors == inf else f"{profile.processors:.2f}",
        )


def _cases(results: list[Any], kind: str, *names: list[str]) -> Iterator[list[str]]:
    """Yield a table with a column for each way, size and profile. The heads have the parts that differ."""
    columns = list(product(*names))
    found = [{row.client: row for row in rows(results, profile, way, size_of(size))} for way, size, profile in columns]
    differs = [len(parts) > 1 for parts in names]
    yield [_head(columns[0], [not differ for differ in differs]), *(_head(column, differs) for column in columns)]
    for client in dict.fromkeys(client for column in found for client in column):
        yield [client, *(CELLS[kind](column[client]) if client in column else "" for column in found)]


def _head(column: Sequence[str], selected: Iterable[bool]) -> str:
    way, size, profile = column
    parts = (way.replace("_", " "), size_text(size_of(size)), profile)
    return ", ".join(compress(parts, selected))


def chart(results: list[dict[str, Any]]) -> str:
    """Return the chart of 64 MiB to and from a file. A client without files is drawn with bytes in memory."""

    def panels() -> Iterator[Panel]:
        for name in CHARTED:
            columns = []
            for way in ("receive", "publish"):
                found = {
                    row.client: row for kind in ("bytes", "file") for row in rows(results, name, f"{way}_{kind}", SIZE)
                }
                columns.append({client: _bar(row) for client, row in found.items() if "SHA-256" not in client})
            clients = [client for client in CLIENTS if any(client in column for column in columns)]
            if clients:
                bars = {client: [column.get(client) for column in columns] for client in clients}
                yield Panel(PROFILES[name].title, bars)

    note = (
        "Shorter is faster; each scale begins at 0. AWS's extended clients hold text in memory, the others use files."
    )
    return draw("64 MiB: time and memory", note, ("Receive to a file", "Publish from a file"), panels())


def _bar(row: Row) -> Bar:
    return Bar(row.wall, f"{seconds(row.wall)} · {memory(row)}", row.client == REFERENCE)


def _table(lines: Iterable[Iterable[str]]) -> Iterator[str]:
    for number, cells in enumerate(map(list, lines)):
        yield f"| {' | '.join(cells)} |"
        if not number:
            yield (
                f"|---|{'--:|' * (len(cells) - 1)}"
                if cells[0] not in ("profile", "figure")
                else "|---" * len(cells) + "|"
            )


def ratio(row: Row) -> str:
    """Format the ratio as `1.20 (1.10-1.30)`, without the range if there is none."""
    if row.ratio is None:
        return ""
    median, least, most = (f"{value:.2f}" for value in row.ratio)
    return median if least == most else f"{median} ({least}-{most})"


def time(row: Row) -> str:
    """Format claim_check's time, or the ratio of another client."""
    return seconds(row.wall) if row.client == REFERENCE else ratio(row)


def memory(row: Row) -> str:
    """Format the memory."""
    return f"{row.memory / 2**20:.0f} MiB"


def cpu(row: Row) -> str:
    """Format CPU seconds a GiB."""
    return f"{row.cpu:.1f} s"


def seconds(value: float) -> str:
    """Format a time as `1.20 s` or `34 ms`."""
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def size_of(text: str) -> int:
    """Return the bytes of a size such as `64MiB`."""
    return int(text[:-3]) * UNITS[text[-3:]]


def size_text(size: int) -> str:
    """Format a size as `64 MiB`."""
    return next(f"{size // unit} {name}" for name, unit in UNITS.items() if size >= unit)


CELLS = {"time": time, "memory": memory, "cpu": cpu}
COUNTS = {"publish_batch": 50, "receive_batch": 50, "publish_small": 200}  # payloads of a transfer


def main(results: Path) -> None:
    """Write the page and its chart."""
    report = json.loads(results.read_text())
    PAGE.write_text(render(PAGE.read_text(), report))
    CHART.write_text(chart(report["results"]))
    print(f"{PAGE}\n{CHART}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "bench.json")
