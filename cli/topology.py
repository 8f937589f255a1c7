"""The command `coatcheck topology`: the accounts and the message flow of a deployment file, as Mermaid or SVG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from xml.sax.saxutils import escape

from stacks.deployment import BaseDeployment, Deployment, ResearchConfig, SubscriberConfig

APPLICATIONS = {
    "state_machine": "Step Functions",
    "ecs_task": "ECS task",
    "function": "own code",
    "queue": "a service that polls",
}

PUBLISH_FUNCTION, TOPIC = 1, 2
"""Indexes of parts of the publisher's box."""
CONSUME_FUNCTION = "consume function"


class Box(NamedTuple):
    """The resources of one party in one account and Region, in the order of the message flow."""

    id: str
    title: str
    place: str
    parts: tuple[str, ...]


class Arrow(NamedTuple):
    """Messages or payloads from one box to another. Payloads that S3 replicates, or that are read, are dashed.

    `start_part` and `end_part` are the indexes of parts of the boxes, or None for the boxes as a whole.
    """

    start: str
    end: str
    label: str
    dashed: bool = False
    start_part: int | None = None
    end_part: int | None = None


@dataclass(frozen=True)
class Topology:
    """Boxes in columns from left to right, and arrows between them."""

    columns: tuple[tuple[Box, ...], ...]
    arrows: tuple[Arrow, ...]


def topology(deployment: BaseDeployment) -> Topology:
    """Return the topology of a deployment."""
    research: ResearchConfig | None = getattr(deployment, "research", None)
    lab = (_research(research),) if research else ()
    if not isinstance(deployment, Deployment):
        return Topology((lab,), ())
    publisher = deployment.publisher
    senders = [
        Box(f"sender_{each.name}", each.name, _place(each.account, each.region or publisher.region), ("sender",))
        for each in deployment.senders
    ]
    senders.append(Box("library", "any process", "with the publisher role", ("claim_check.Publisher",)))
    parts = (
        "event bus and outbox",
        "publish function",
        "SNS FIFO topic" if publisher.fifo else "SNS topic",
    )
    place = _place(publisher.account, publisher.region)
    middle = [Box("publisher", "publisher", place, parts)]
    if publisher.offload != "never":
        middle.append(Box("payloads", "payloads", place, ("S3 payloads",)))
    middle += [
        Box(f"replica_{region}", "replica", _place(publisher.account, region), ("S3 payloads",))
        for region in publisher.replicas
    ]
    subscribers = [
        Box(f"subscriber_{each.name}", each.name, _place(each.account, each.region), tuple(_parts(each)))
        for each in deployment.subscribers
    ]
    columns = (tuple(senders), tuple(middle), tuple(subscribers), *((lab,) if lab else ()))
    return Topology(columns, tuple(_arrows(deployment)))


def _arrows(deployment: Deployment) -> Iterator[Arrow]:
    for sender in deployment.senders:
        yield Arrow(f"sender_{sender.name}", "publisher", "events, uploads")
    yield Arrow("library", "publisher", "payloads")
    for subscriber in deployment.subscribers:
        end = f"subscriber_{subscriber.name}"
        if subscriber.subscribed:
            yield Arrow("publisher", end, "filtered" if subscriber.filter_policy else "", start_part=TOPIC, end_part=0)
        if getattr(subscriber, "pipeline", None):
            yield Arrow(end, "research", "data sets")
    if deployment.publisher.offload != "never":
        yield from _payload_arrows(deployment)


def _payload_arrows(deployment: Deployment) -> Iterator[Arrow]:
    """Yield the flow of offloaded payloads. A replica in the subscriber's Region is read first."""
    replicas = deployment.publisher.replicas
    yield Arrow("publisher", "payloads", "", start_part=PUBLISH_FUNCTION)
    for region in replicas:
        yield Arrow("payloads", f"replica_{region}", "", dashed=True)
    for subscriber in deployment.subscribers:
        if subscriber.subscribed:
            store = f"replica_{subscriber.region}" if subscriber.region in replicas else "payloads"
            yield Arrow(store, f"subscriber_{subscriber.name}", "", dashed=True, end_part=_reader(subscriber))


def _reader(subscriber: SubscriberConfig) -> int:
    """Return the index of the part that reads payloads: the consume function, or the service with the reader role."""
    parts = list(_parts(subscriber))
    return parts.index(CONSUME_FUNCTION) if CONSUME_FUNCTION in parts else len(parts) - 1


def _parts(subscriber: SubscriberConfig) -> Iterator[str]:
    if subscriber.kind == "https":
        yield from ("HTTPS endpoint", "reader role")
        return
    if subscriber.kind == "sqs":
        yield "SQS queue"
    if subscriber.application != "queue":
        yield CONSUME_FUNCTION
    if subscriber.landing:
        yield "landing bucket"
    yield APPLICATIONS[subscriber.application]


def _research(research: ResearchConfig) -> Box:
    parts = ("SageMaker Studio", *(f"image {image.name}" for image in research.images))
    parts += tuple(f"pipeline {pipeline.name}" for pipeline in research.pipelines)
    return Box("research", "research", _place(research.account, research.region), (*parts, "S3 data"))


def _place(account: str, region: str) -> str:
    return f"{account}, {region}"


def mermaid(drawn: Topology) -> str:
    """Return a Mermaid flow chart, which GitHub shows in a page."""
    lines = ["flowchart LR"]
    for box in (box for column in drawn.columns for box in column):
        name = box.id.replace("-", "_")
        lines.append(f'    subgraph {name}["{box.title}<br/>{box.place}"]')
        parts = [f'{name}_{index}["{part}"]' for index, part in enumerate(box.parts)]
        lines += [f"        {' --> '.join(parts)}", "    end"]
    for arrow in drawn.arrows:
        line = "-.->" if arrow.dashed else "-->"
        label = f"|{arrow.label}|" if arrow.label else ""
        lines.append(f"    {_node(arrow.start, arrow.start_part)} {line}{label} {_node(arrow.end, arrow.end_part)}")
    return "\n".join(lines) + "\n"


def _node(box: str, part: int | None) -> str:
    name = box.replace("-", "_")
    return name if part is None else f"{name}_{part}"


WIDTH, GAP, MARGIN, ROW, HEAD, SPACE = 210, 130, 20, 24, 50, 22
STYLE = (
    ":root{--back:#fff;--box:#f4f6f8;--line:#8795a1;--text:#1f2933;--faint:#52606d;--own:#0b7285}"
    "@media(prefers-color-scheme:dark){:root{--back:#14181c;--box:#1f262d;--line:#6b7885;--text:#e8ecef;--faint:#a6b1bb;"
    "--own:#3bc9db}}"
    "text{font:13px system-ui,sans-serif;fill:var(--text)}.head{font-weight:600;fill:var(--own)}"
    ".faint{font-size:12px;fill:var(--faint)}.box{fill:var(--box);stroke:var(--line)}"
    ".part{fill:var(--back);stroke:var(--line)}.arrow{fill:none;stroke:var(--line);stroke-width:1.5}"
    ".dashed{stroke-dasharray:5 4}"
)


def svg(drawn: Topology) -> str:
    """Return a self-contained picture, which follows the reader's light or dark mode."""
    heights = [sum(_height(box) + SPACE for box in column) - SPACE for column in drawn.columns]
    height = max(heights) + 2 * MARGIN
    width = len(drawn.columns) * (WIDTH + GAP) - GAP + 2 * MARGIN
    places: dict[str, tuple[int, int, Box]] = {}
    for number, column in enumerate(drawn.columns):
        y = (height - heights[number]) // 2
        for box in column:
            places[box.id] = (MARGIN + number * (WIDTH + GAP), y, box)
            y += _height(box) + SPACE
    parts = [_draw_arrow(arrow, places) for arrow in drawn.arrows] + [_draw_box(*place) for place in places.values()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="Topology of the deployment"><style>{STYLE}</style><defs><marker id="tip" '
        'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" '
        'fill="var(--line)"/></marker></defs><rect width="100%" height="100%" fill="var(--back)"/>'
        f"{''.join(parts)}</svg>\n"
    )


def _height(box: Box) -> int:
    return HEAD + ROW * len(box.parts) + 8


def _middle(box: Box, part: int | None) -> int:
    return _height(box) // 2 if part is None else HEAD + ROW * part + (ROW - 4) // 2


def _draw_box(x: int, y: int, box: Box) -> str:
    drawn = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{_height(box)}" rx="6" class="box"/>'
    drawn += _text(x + 12, y + 20, box.title, "head") + _text(x + 12, y + 38, box.place, "faint")
    for number, part in enumerate(box.parts):
        top = y + HEAD + number * ROW
        drawn += f'<rect x="{x + 10}" y="{top}" width="{WIDTH - 20}" height="{ROW - 4}" rx="4" class="part"/>'
        drawn += _text(x + 18, top + 15, part, "")
    return drawn


def _draw_arrow(arrow: Arrow, places: dict[str, tuple[int, int, Box]]) -> str:
    """Draw an arrow to the next column, or down in one column: next to the box if it begins at a part.

    Its label is at the free end: the beginning if it ends at the publisher, otherwise the end.
    """
    (x, y, box), (end_x, end_y, end) = places[arrow.start], places[arrow.end]
    kind = "arrow dashed" if arrow.dashed else "arrow"
    start, target = y + _middle(box, arrow.start_part), end_y + _middle(end, arrow.end_part)
    if x == end_x and arrow.start_part is not None:
        path = f"M{x + 10} {start}H{x - 12}V{target}H{x - 2}"
    elif x == end_x:
        path = f"M{x + WIDTH // 2} {y + _height(box)}V{end_y - 2}"
    else:
        left, right, bend = x + WIDTH, end_x - 2, GAP // 2
        path = f"M{left} {start}C{left + bend} {start} {right - bend} {target} {right} {target}"
    label = (end_x - GAP + 8, target - 6)
    if arrow.end == "publisher":
        label = (x + WIDTH + 8, start + (16 if target < start else -6))
    return f'<path d="{path}" class="{kind}" marker-end="url(#tip)"/>{_text(*label, arrow.label, "faint")}'


def _text(x: int, y: int, text: str, kind: str) -> str:
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(text)}</text>'
