"""The wait for every payload at every subscriber's application."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cli.scenario.arrivals import ScenarioArrival, ScenarioArrivals
from cli.scenario.function_log import logged_at
from cli.scenario.routes import Submission
from stacks.deployment import SubscriberConfig
from stacks.deployment.filter_reach import matches

_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS = 0.3, 3.0


@dataclass
class ReceivedPayload:
    """A payload, its time of publication, and its arrival at each subscriber, by the subscriber's name."""

    submission: Submission
    published_at: datetime | None = None
    arrivals: dict[str, ScenarioArrival] = field(default_factory=dict)

    @property
    def message_id(self) -> str:
        """The message's id."""
        return self.submission.message_id

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

    log_is_readable: whether the publish function's log can be read, which has the time of the publication.
    """
    payloads = [ReceivedPayload(submission, submission.published_at) for submission in submissions]
    deadline, pause = time.monotonic() + seconds, _FIRST_POLL_SECONDS
    while time.monotonic() < deadline:
        if log_is_readable:
            _add_times(arrivals, payloads)
        for subscriber in subscribers:
            missing = {payload.message_id: payload for payload in payloads if subscriber.name not in payload.arrivals}
            for message_id, arrival in (arrivals.at(subscriber, missing) if missing else {}).items():
                missing[message_id].arrivals[subscriber.name] = arrival
                progress(missing[message_id], subscriber)
        published = all(payload.published_at for payload in payloads) or not log_is_readable
        if published and all(_has_arrived(payload, subscribers) for payload in payloads):
            break
        time.sleep(pause)
        pause = min(1.1 * pause, _LAST_POLL_SECONDS)
    return payloads


def _has_arrived(payload: ReceivedPayload, subscribers: Sequence[SubscriberConfig]) -> bool:
    return {subscriber.name for subscriber in subscribers if payload.matches(subscriber)} <= payload.arrivals.keys()


def _add_times(arrivals: ScenarioArrivals, payloads: Sequence[ReceivedPayload]) -> None:
    """Set the time of payloads that the publish function published meanwhile."""
    unpublished = {payload.message_id: payload for payload in payloads if not payload.published_at}
    for entry in arrivals.published() if unpublished else ():
        if payload := unpublished.get(entry["message_id"]):
            payload.published_at = logged_at(entry)
