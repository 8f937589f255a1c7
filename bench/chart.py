"""The chart of docs/bench.md as SVG: time and memory of each client, a panel for each profile and direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

LABELS, BAR_WIDTH, TEXT, ROW, TOP = 170, 250, 130, 19, 74
COLUMN = BAR_WIDTH + TEXT
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2933}.title{font-size:15px;font-weight:600}.head{font-weight:600}"
    ".small{font-size:12px;fill:#52606d}.own{fill:#0b7285}.other{fill:#adb5bd}.line{stroke:#d9dee3}"
)


class Bar(NamedTuple):
    """One client's time in seconds and its text. `own` bars are coloured."""

    seconds: float
    text: str
    own: bool


class Panel(NamedTuple):
    """The clients of one profile. Each has a bar for each column, or None."""

    title: str
    clients: Mapping[str, Sequence[Bar | None]]


def draw(title: str, note: str, columns: Sequence[str], panels: Iterable[Panel]) -> str:
    """Draw the panels below one another. In a panel, each column has its own scale, which begins at 0."""
    y = TOP
    parts = [_text(12, 24, title, "title"), _text(12, 44, note, "small")]
    parts += [_text(_left(number), TOP - 6, column, "head") for number, column in enumerate(columns)]
    width = _left(len(columns))
    for panel in panels:
        parts.append(f'<line x1="12" y1="{y + 4}" x2="{width - 12}" y2="{y + 4}" class="line"/>')
        y += 24
        parts.append(_text(12, y, panel.title, "head"))
        y += 8
        for client, bars in panel.clients.items():
            parts.append(_text(LABELS - 8, y + 14, client, "", anchor="end"))
            for number, bar in enumerate(bars):
                if bar:
                    longest = max(other.seconds for others in panel.clients.values() if (other := others[number]))
                    parts.append(_bar(bar, _left(number), y, longest))
            y += ROW
        y += 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 8}" width="{width}" height="{y + 8}">'
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _bar(bar: Bar, x: int, y: int, longest: float) -> str:
    width = max(2, BAR_WIDTH * bar.seconds / longest)
    kind = "own" if bar.own else "other"
    rectangle = f'<rect x="{x}" y="{y + 3}" width="{width:.0f}" height="{ROW - 5}" rx="2" class="{kind}"/>'
    return rectangle + _text(x + width + 6, y + 14, bar.text, "small")


def _left(column: int) -> int:
    return LABELS + column * COLUMN


def _text(x: float, y: int, text: str, kind: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
