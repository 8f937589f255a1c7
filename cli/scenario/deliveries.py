"""Follows what was sent until every subscriber's application was handed it, or time is up."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cli.scenario.arrivals import Arrival, Arrivals, published
from cli.scenario.routes import Sent
from local.accounts import Accounts
from stacks.deployment import Deployment, SubscriberConfig

_POLL_SECONDS = 0.3


@dataclass
class Delivery:
    """One payload's way: when it was published, and what each subscriber was handed, by the subscriber's name."""

    sent: Sent
    message_id: str | None
    published_at: datetime | None = None
    arrivals: dict[str, Arrival] = field(default_factory=dict)

    def whole(self, subscriber: SubscriberConfig) -> bool:
        """Whether the subscriber read every byte as it was sent, and its application took it."""
        arrival = self.arrivals.get(subscriber.name)
        return (
            arrival is not None
            and (arrival.sha256, arrival.bytes) == (self.sent.sha256, self.sent.bytes)
            and arrival.status not in ("FAILED", "TIMED_OUT", "ABORTED")
        )


def follow(
    arrivals: Arrivals,
    deployment: Deployment,
    sent: Sequence[Sent],
    *,
    seconds: float,
    progress: Callable[[Delivery, SubscriberConfig], None],
) -> list[Delivery]:
    """Watch the subscribers' accounts until all of `sent` arrived everywhere; `progress` is told of each arrival."""
    deliveries = [Delivery(each, each.message_id) for each in sent]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _trace(arrivals.accounts, deployment, deliveries)
        for subscriber in deployment.subscribers:
            found = arrivals.at(subscriber)
            for delivery in deliveries:
                arrival = found.get(delivery.message_id or "")
                if arrival and subscriber.name not in delivery.arrivals and arrival.ended:
                    delivery.arrivals[subscriber.name] = arrival
                    progress(delivery, subscriber)
        if all(len(delivery.arrivals) == len(deployment.subscribers) for delivery in deliveries):
            break
        time.sleep(_POLL_SECONDS)
    return deliveries


def _trace(accounts: Accounts, deployment: Deployment, deliveries: Sequence[Delivery]) -> None:
    """What the publish function says of the messages that it published."""
    missing = [d for d in deliveries if d.sent.traced and not d.published_at]
    if not missing:
        return
    lines = published(accounts, deployment)
    for delivery in missing:
        assert delivery.sent.traced
        name, value = delivery.sent.traced
        for line in lines:
            if line.get(name) == value:
                delivery.message_id = line["message_id"]
                delivery.published_at = datetime.strptime(line["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z")
