"""The report of a run as one page of HTML: without network, light and dark, for wide and narrow screens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cli.sizes import size_text
from cli.topology import Topology, svg, topology
from stacks.deployment import Deployment

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["size"] = size_text


def page(report: Mapping[str, Any], deployment: Deployment) -> str:
    """Return the page of a report, which has the values of its JSON file."""
    ends = [end for payload in report["payloads"] for each in payload["subscribers"] if (end := _end(each))]
    return _ENVIRONMENT.get_template("page.html").render(
        report={"promises": {}, "not_deleted": [], **report},
        version=version("coatcheck"),
        picture=Markup(svg(timed(topology(deployment), report))),  # noqa: S704 - svg escapes the names
        longest=max(ends, default=1.0),
        end=_end,
    )


def _end(arrival: Mapping[str, Any]) -> float | None:
    """Return the seconds until the application ended, or until it got the payload if its end is not recorded."""
    ended: float | None = arrival["ended_after_seconds"]
    after: float | None = arrival["after_seconds"]
    return after if ended is None else ended


def timed(drawn: Topology, report: Mapping[str, Any]) -> Topology:
    """Return the topology with the times of the run at its arrows.

    An arrow to the publisher has the time from sending until published, an arrow to a subscriber the time from there
    until its application started.
    """
    senders = {box.place.partition(",")[0]: box.id for box in reversed(drawn.columns[0])}
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for payload in report["payloads"]:
        published, account = payload["published_after_seconds"], payload["route"].rpartition(" from ")[2]
        if published is None:
            continue
        seconds[senders.get(account, "library"), "publisher"].append(published)
        for arrival in payload["subscribers"]:
            if arrival["after_seconds"] is not None:
                hop = max(0.0, arrival["after_seconds"] - published)
                seconds["publisher", f"subscriber_{arrival['name']}"].append(hop)
    arrows = (arrow._replace(label=_span(seconds[arrow[:2]]) or arrow.label) for arrow in drawn.arrows)
    return replace(drawn, arrows=tuple(arrows))


def _span(seconds: Collection[float]) -> str:
    """Return the least and the greatest of some times, or nothing without times."""
    return " to ".join(dict.fromkeys(f"{end(seconds):.1f}" for end in (min, max))) + " s" if seconds else ""
