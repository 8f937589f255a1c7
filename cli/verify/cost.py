"""The costs of a run."""

import math

from cli.cost import Route
from cli.cost.prices import load
from cli.cost.traffic import Traffic
from stacks.deployment import Deployment

_EVENT_BYTES = 200
_SENT: tuple[tuple[Route, bool], ...] = (("bus", False), ("library", True), ("outbox", True))
"""The entry points, and whether the file is sent there."""


def cents(deployment: Deployment, *, size: int) -> int:
    """Return the costs of a run with a file of `size` bytes: its messages at list prices, in cents, rounded up."""
    prices = load()
    usd = 0.0
    for route, has_file in _SENT:
        traffic = Traffic(
            deployment=deployment, size=size if has_file else _EVENT_BYTES, route=route, assumed=prices.assumed
        )
        usd += sum(prices.usd(charge.price, charge.quantity, charge.region) for charge in traffic.charges())
    return math.ceil(100 * usd)
