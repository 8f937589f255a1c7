"""The wait for every payload at every subscriber's application."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cli.scenario.arrivals import ScenarioArrival, ScenarioArrivals
from cli.scenario.routes import Submission
from stacks.deployment import SubscriberConfig

_POLL_SECONDS = 0.3


@dataclass
class ReceivedPayload:
    """A payload, its time of publication, and its arrival at each subscriber, by the subscriber's name."""

    submission: Submission
    message_id: str | None
    published_at: datetime | None = None
    arrivals: dict[str, ScenarioArrival] = field(default_factory=dict)

    def intact(self, subscriber: SubscriberConfig) -> bool:
        """Whether the subscriber read exactly the sent bytes, and its application did not fail."""
        arrival = self.arrivals.get(subscriber.name)
        return (
            arrival is not None
            and (arrival.sha256, arrival.bytes) == (self.submission.sha256, self.submission.bytes)
            and arrival.status not in ("FAILED", "TIMED_OUT", "ABORTED")
        )


def follow(
    arrivals: ScenarioArrivals,
    subscribers: Sequence[SubscriberConfig],
    submissions: Sequence[Submission],
    *,
    seconds: float,
    progress: Callable[[ReceivedPayload, SubscriberConfig], None],
) -> list[ReceivedPayload]:
    """Wait until all payloads have arrived at all subscribers, at most `seconds`. Call `progress` for each arrival."""
    payloads = [ReceivedPayload(submission, submission.message_id) for submission in submissions]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _identify(arrivals, payloads)
        for subscriber in subscribers:
            arrived = arrivals.at(subscriber)
            for payload in payloads:
                arrival = arrived.get(payload.message_id or "")
                if arrival and subscriber.name not in payload.arrivals:
                    payload.arrivals[subscriber.name] = arrival
                    progress(payload, subscriber)
        if all(len(payload.arrivals) == len(subscribers) for payload in payloads):
            break
        time.sleep(_POLL_SECONDS)
    return payloads


def _identify(arrivals: ScenarioArrivals, payloads: Sequence[ReceivedPayload]) -> None:
    """Set message id and time of payloads that the publish function published meanwhile."""
    unpublished = [payload for payload in payloads if payload.submission.log_field and not payload.published_at]
    if not unpublished:
        return
    entries = arrivals.published()
    for payload in unpublished:
        assert payload.submission.log_field
        name, value = payload.submission.log_field
        for entry in entries:
            if entry.get(name) == value:
                payload.message_id = entry["message_id"]
                payload.published_at = datetime.strptime(entry["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z")
