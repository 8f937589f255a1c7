"""The command `coatcheck cost`: a deployment's cost without messages, of a million messages, and its first limits."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from access.assembly import StackTemplate, synthesize
from cli.cost import Route
from cli.cost.fixed import fixed_items
from cli.cost.limits import Limit, limits
from cli.cost.prices import PRICES, Prices, load, unpriced_text
from cli.cost.storage import Storage, storage
from cli.cost.traffic import EVENT_BYTES, POINTER_BYTES, Traffic
from stacks import deployment as file_model

MILLION = 1_000_000
LIMITS = 5


@dataclass(frozen=True)
class Line:
    """An amount in USD of one stack or hop."""

    place: str
    region: str
    what: str
    quantity: float
    usd: float
    assumed: bool = False


@dataclass(frozen=True)
class Report:
    """The content of the command's output. Amounts in USD."""

    prices: str
    month: list[Line]
    """Without messages."""
    million: list[Line]
    """A million messages of one size by one route."""
    storage: Storage | None
    limits: list[Limit]
    unpriced_regions: list[str]
    """Regions without own prices."""

    def to_json(self) -> str:
        """Return the report as JSON."""
        storage = self.storage._asdict() if self.storage else None
        content = {**asdict(self), "storage": storage, "limits": [limit._asdict() for limit in self.limits]}
        return json.dumps(content, indent=2)


def monthly_lines(stacks: Iterable[StackTemplate], prices: Prices) -> list[Line]:
    """Return the costs of the stacks in a month without messages, jobs and apps."""
    return [
        Line(stack, region, prices.prices[price].of, quantity, prices.usd(price, quantity, region))
        for stack, region, price, quantity in fixed_items(stacks)
    ]


def report(file: Path, *, size: int, route: Route | None, reads: float, price_table: Path | None) -> Report:
    """Return the costs of a deployment file.

    Args:
        file: The deployment file.
        size: Size of each payload in bytes.
        route: How messages are sent. By default the bus, and the outbox for payloads that are too large for an event.
        reads: Times that each application reads the whole payload.
        price_table: A file like `prices.toml`.

    Raises:
        DeploymentError: The deployment file is invalid.
        PriceTableError: The price table is invalid.
        SynthError: The stacks cannot be synthesized.
        ValueError: An event of this size is too large for EventBridge.
    """
    deployment, prices = file_model.load(file), load(price_table or PRICES)
    stacks = synthesize(file)
    unpriced = prices.unpriced(stack.region for stack in stacks)
    head = f"{(price_table or PRICES).name} of {prices.date}"
    month = monthly_lines(stacks, prices)
    if not isinstance(deployment, file_model.Deployment):
        return Report(head, month, [], None, [], unpriced)
    traffic = Traffic(
        deployment=deployment, size=size, route=route or _route(size), assumed=prices.assumed, reads=reads
    )
    publisher = deployment.publisher
    stored = storage(days=publisher.payload_lifetime_days, standard_days=1, region=publisher.region, prices=prices)
    return Report(head, month, _million(traffic, prices), stored, limits(traffic)[:LIMITS], unpriced)


def _route(size: int) -> Route:
    return "bus" if size + POINTER_BYTES <= EVENT_BYTES else "outbox"


def _million(traffic: Traffic, prices: Prices) -> list[Line]:
    """Return the charges of a million messages, one line for each hop and price."""
    sums: defaultdict[tuple[str, str, str, bool], float] = defaultdict(float)
    for charge in traffic.charges():
        sums[charge.hop, charge.region, charge.price, charge.assumed] += MILLION * charge.quantity
    return [
        Line(hop, region, prices.prices[price].of, quantity, prices.usd(price, quantity, region), assumed)
        for (hop, region, price, assumed), quantity in sums.items()
    ]


def render(result: Report, *, details: bool) -> str:
    """Return the report as text of at most 80 columns."""
    lines = [f"Prices: {result.prices}, list prices in USD.", "", "Each month, without messages, jobs and apps", ""]
    lines += _table(result.month, details=details)
    if result.million:
        lines += ["", "A million messages", "", *_table(result.million, details=details)]
        if any(line.assumed for line in result.million):
            lines += ["", "~ uses durations that the price table assumes. Measure yours, and change them."]
    if result.storage:
        lines += ["", "Storage of one GB of payloads over their lifetime", ""]
        lines += [_amount(result.storage.standard, "S3 Standard")]
        lines += [_amount(result.storage.glacier_ir, "one day in Standard, then Glacier Instant Retrieval")]
        if result.storage.pays_from_bytes:
            lines.append(f"{'':12}which pays for payloads from {result.storage.pays_from_bytes / 1e6:.2f} MB")
    if result.limits:
        lines += ["", "First limits, in messages per second", ""]
        for limit in result.limits:
            lines += [f"{limit.messages_per_second:>10,.1f}  {limit.hop}: {limit.name}", f"{'':12}{limit.remedy}"]
    if result.unpriced_regions:
        lines += ["", unpriced_text(result.unpriced_regions)]
    lines += ["", "Not included: stored images and logs, jobs, apps and volumes, free tiers, taxes."]
    return "\n".join(lines) + "\n"


def _table(charges: list[Line], *, details: bool) -> list[str]:
    places: defaultdict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in charges:
        places[line.place, line.region].append(line)
    text = []
    for (place, region), lines in places.items():
        text.append(_amount(sum(line.usd for line in lines), f"{place}, {region}", any(line.assumed for line in lines)))
        if details:
            text += [f"{line.usd:>18,.2f}  {line.quantity:,.6g} x {line.what}" for line in lines]
    total = sum(line.usd for line in charges)
    return [*text, _amount(total, "in total", any(line.assumed for line in charges))]


def _amount(usd: float, text: str, assumed: bool = False) -> str:
    return f"{'~' if assumed else ''}{usd:,.2f}".rjust(10) + f"  {text}"
