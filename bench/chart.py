"""The chart of memory and time for a payload, by client and direction, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import log10
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

WIDTH, LABELS, BAR, GAP, TOP = 960, 170, 18, 6, 84
# A text has a white outline, which hides the grid.
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933;paint-order:stroke;stroke:#fff;stroke-width:5px}"
    ".title{font-size:15px;font-weight:600}.small{font-size:11px;fill:#52606d}.grid{stroke:#d9dee3}"
    ".claim_check{fill:#0b7285}.other{fill:#adb5bd}"
)


class Panel(NamedTuple):
    """A column of bars for the member `name` of results, on a logarithmic axis from `left` to `right`."""

    title: str
    name: str
    left: int
    right: int
    ticks: tuple[float, ...]

    def x(self, value: float) -> float:
        """Return the position of `value`. A value below the lowest tick is at the left end."""
        lowest, highest = log10(self.ticks[0]), log10(self.ticks[-1])
        share = (log10(max(value, self.ticks[0])) - lowest) / (highest - lowest)
        return self.left + share * (self.right - self.left)


PANELS = (
    Panel("Memory ÷ payload", "rss_over_payload", LABELS, 500, (0.0001, 0.001, 0.01, 0.1, 1, 10)),
    Panel("Time ÷ boto3's", "ratio_to_raw", 600, 890, (0.5, 1, 2, 5, 10, 20)),
)


def draw(results: Iterable[dict[str, Any]]) -> str:
    """Draw bars for the largest size that all clients support, and for text with one emoji.

    Cases without results are omitted.
    """
    measured = list(results)
    cases = [f"{direction}{note}" for note in ("", ", text with one emoji") for direction in ("publish", "receive")]
    rows: list[str] = []
    y = TOP
    for group in filter(None, (_largest(measured, case) for case in cases)):
        y += 20
        rows.append(_text(12, y, _title(group[0]), "title"))
        y += 10
        for result in group:
            rows.append(_row(result, y))
            y += BAR + GAP
        y += 12
    axes = "".join(_axis(panel, y) for panel in PANELS)
    note = "Memory: in addition to that without a payload. Time: over a connection as fast as memory."
    legend = _text(12, 22, f"{note} Both axes are logarithmic.", "small")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 8}" width="{WIDTH}" height="{y + 8}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{legend}{axes}{"".join(rows)}</svg>\n'
    )


def _largest(results: list[dict[str, Any]], case: str) -> list[dict[str, Any]]:
    mine = [result for result in results if result["case"] == case]
    size = max((result["size"] for result in mine if result["client"] == "awslabs"), default=None)
    by_memory: Callable[[dict[str, Any]], float] = lambda result: result["rss_over_payload"]  # noqa: E731
    return sorted((result for result in mine if result["size"] == size), key=by_memory)


def _title(result: dict[str, Any]) -> str:
    size = result["size"]
    return f"{result['case']}, {size // 2**30} GiB" if size >= 2**30 else f"{result['case']}, {size // 2**20} MiB"


def _row(result: dict[str, Any], y: int) -> str:
    kind = "claim_check" if result["client"].startswith("claim_check") else "other"
    label = _text(LABELS - 10, y + 14, result["client"], "", anchor="end")
    return label + "".join(_bar(panel, float(result[panel.name]), y, kind) for panel in PANELS)


def _bar(panel: Panel, value: float, y: int, kind: str) -> str:
    end = panel.x(value)
    width = max(end - panel.left, 2)
    bar = f'<rect x="{panel.left}" y="{y}" width="{width:.0f}" height="{BAR}" rx="2" class="{kind}"/>'
    return bar + _text(panel.left + width + 6, y + 14, _number(value), "")


def _axis(panel: Panel, bottom: int) -> str:
    lines = [
        f'<line x1="{panel.x(tick):.0f}" y1="{TOP - 6}" x2="{panel.x(tick):.0f}" y2="{bottom}" class="grid"/>'
        + _text(panel.x(tick), TOP - 12, f"{tick:g}", "small", anchor="middle")
        for tick in panel.ticks
    ]
    return _text(panel.left, TOP - 32, panel.title, "title") + "".join(lines)


def _text(x: float, y: int, text: str, kind: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    """Format with two significant digits. Values below 0.000005 (one 4 KiB page in 1 GiB) are shown as 0."""
    return f"{value:.2g}" if value >= 0.000005 else "0"
