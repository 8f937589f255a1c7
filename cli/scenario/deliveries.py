"""The wait for every payload at every subscriber's application."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cli.scenario.arrivals import ScenarioArrival, ScenarioArrivals
from cli.scenario.routes import Submission
from stacks.deployment import SubscriberConfig
from stacks.deployment.filter_reach import matches

_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS = 0.3, 3.0


@dataclass
class ReceivedPayload:
    """A payload, its time of publication, and its arrival at each subscriber, by the subscriber's name."""

    submission: Submission
    message_id: str | None
    published_at: datetime | None = None
    arrivals: dict[str, ScenarioArrival] = field(default_factory=dict)

    def matches(self, subscriber: SubscriberConfig) -> bool:
        """Whether the subscriber's filter policy, if it has one, matches the message."""
        return subscriber.filter_policy is None or matches(subscriber.filter_policy, self.submission.attributes)

    def intact(self, subscriber: SubscriberConfig) -> bool:
        """Whether the subscriber read exactly the sent bytes, and its application did not fail.

        A subscriber whose filter policy does not match must receive nothing.
        """
        arrival = self.arrivals.get(subscriber.name)
        if not self.matches(subscriber):
            return arrival is None
        return (
            arrival is not None
            and (arrival.sha256, arrival.bytes) == (self.submission.sha256, self.submission.bytes)
            and arrival.succeeded
        )


def follow(
    arrivals: ScenarioArrivals,
    subscribers: Sequence[SubscriberConfig],
    submissions: Sequence[Submission],
    *,
    log_is_readable: bool,
    seconds: float,
    progress: Callable[[ReceivedPayload, SubscriberConfig], None],
) -> list[ReceivedPayload]:
    """Wait until all payloads have arrived at all subscribers whose filter policy matches, at most `seconds`.

    Call `progress` for each arrival.

    log_is_readable: whether the publish function's log can be read, which tells an upload's message id.
    """
    payloads = [
        ReceivedPayload(submission, submission.message_id, submission.published_at) for submission in submissions
    ]
    awaited = [payload for payload in payloads if payload.message_id or log_is_readable]
    deadline, pause = time.monotonic() + seconds, _FIRST_POLL_SECONDS
    while time.monotonic() < deadline:
        if log_is_readable:
            _identify(arrivals, payloads)
        for subscriber in subscribers:
            missing = {
                payload.message_id: payload
                for payload in awaited
                if payload.message_id and subscriber.name not in payload.arrivals
            }
            for message_id, arrival in (arrivals.at(subscriber, missing) if missing else {}).items():
                missing[message_id].arrivals[subscriber.name] = arrival
                progress(missing[message_id], subscriber)
        if all(_has_arrived(payload, subscribers) for payload in awaited):
            break
        time.sleep(pause)
        pause = min(1.1 * pause, _LAST_POLL_SECONDS)
    return payloads


def _has_arrived(payload: ReceivedPayload, subscribers: Sequence[SubscriberConfig]) -> bool:
    expected = {subscriber.name for subscriber in subscribers if payload.matches(subscriber)}
    return payload.message_id is not None and expected <= payload.arrivals.keys()


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
