"""The picture: how much memory a payload takes, by system and direction, as SVG."""

from __future__ import annotations

from collections.abc import Iterable
from math import log10
from typing import Any
from xml.sax.saxutils import escape

WIDTH, LABEL, BAR, GAP, TOP = 820, 210, 18, 6, 64
LEFT, RIGHT = LABEL + 20, 70
LOWEST, HIGHEST = 0.001, 10.0  # the axis is logarithmic
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-size:16px;font-weight:600}.small{font-size:11px;"
    "fill:#616e7c}.grid{stroke:#cbd2d9;stroke-width:1}.ours{fill:#0b7285}.theirs{fill:#adb5bd}"
)


def draw(results: Iterable[dict[str, Any]]) -> str:
    """Bars of memory over payload at each case's largest size that everybody took; empty cases are left out."""
    groups = [group for case in ("publish", "receive") if (group := _largest(results, case))]
    emoji = [group for case in ("publish", "receive") if (group := _largest(results, f"{case}, text with one emoji"))]
    rows: list[str] = []
    y = TOP
    for group in groups + emoji:
        y += 22
        rows.append(f'<text x="20" y="{y}" class="title">{escape(_title(group[0]))}</text>')
        y += 12
        for result in group:
            rows.append(_bar(result, y))
            y += BAR + GAP
        y += 14
    grid = [_line(value, y) for value in (0.001, 0.01, 0.1, 1.0, 10.0)]
    head = '<text x="20" y="28" class="title">Memory beyond the process, divided by the payload (log scale)</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" width="{WIDTH}" height="{y + 10}">'
        f"<style>{STYLE}</style><rect width='100%' height='100%' fill='#fff'/>"
        f"{head}{''.join(grid)}{''.join(rows)}</svg>\n"
    )


def _largest(results: Iterable[dict[str, Any]], case: str) -> list[dict[str, Any]]:
    mine = [result for result in results if result["case"] == case]
    sizes = {result["size"] for result in mine if result["system"] == "awslabs"}
    chosen = [result for result in mine if sizes and result["size"] == max(sizes)]
    return sorted(chosen, key=lambda result: float(result["rss_over_payload"]))


def _title(result: dict[str, Any]) -> str:
    size = result["size"]
    return f"{result['case']}, {size // 2**30} GiB" if size >= 2**30 else f"{result['case']}, {size // 2**20} MiB"


def _bar(result: dict[str, Any], y: int) -> str:
    value = max(float(result["rss_over_payload"]), 0.0)
    kind = "ours" if result["system"].startswith("claim_check") else "theirs"
    end = _x(max(value, LOWEST))
    return (
        f'<text x="{LABEL + 10}" y="{y + 14}" text-anchor="end">{escape(result["system"])}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{max(end - LEFT, 1):.0f}" height="{BAR}" rx="2" class="{kind}"/>'
        f'<text x="{max(end, LEFT) + 6:.0f}" y="{y + 14}">{value:.3f}</text>'
    )


def _line(value: float, bottom: int) -> str:
    x = _x(value)
    return (
        f'<line x1="{x:.0f}" y1="{TOP - 6}" x2="{x:.0f}" y2="{bottom}" class="grid"/>'
        f'<text x="{x:.0f}" y="{TOP - 12}" text-anchor="middle" class="small">{value:g}</text>'
    )


def _x(value: float) -> float:
    span = log10(HIGHEST) - log10(LOWEST)
    return LEFT + (log10(min(value, HIGHEST)) - log10(LOWEST)) / span * (WIDTH - LEFT - RIGHT)
