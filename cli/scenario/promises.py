"""The promises of the README that a run of the scenario shows, by their names in docs/verified.md."""

from collections.abc import Callable, Mapping

from cli.scenario.report import Report
from cli.scenario.routes import Submission
from stacks.deployment import SubscriberConfig

Outcome = bool | None
"""Whether the run kept a promise. None: the run shows nothing about it."""


def outcomes(report: Report) -> Mapping[str, Outcome]:
    """Return the outcome of each promise that the scenario can show."""
    return {name: outcome(report) for name, outcome in PROMISES.items()}


def _all(values: list[bool]) -> Outcome:
    return all(values) if values else None


def _arrived(report: Report, which: Callable[[Submission, SubscriberConfig], bool]) -> Outcome:
    """Return the outcome of these deliveries. Messages that a filter policy excludes are none."""
    return _all(
        [
            payload.intact(subscriber)
            for payload in report.payloads
            for subscriber in report.subscribers
            if payload.matches(subscriber) and which(payload.submission, subscriber)
        ]
    )


def _by(route: str) -> Callable[[Report], Outcome]:
    return lambda report: _arrived(report, lambda sent, _: sent.route.startswith(route))


def _at(kind: str) -> Callable[[Report], Outcome]:
    return lambda report: _arrived(report, lambda _, subscriber: subscriber.kind == kind)


def _denied(report: Report, *beginnings: str) -> Outcome:
    return _all([attempt.denied for attempt in report.attempts if attempt.attempt.startswith(beginnings)])


PROMISES: Mapping[str, Callable[[Report], Outcome]] = {
    "event": _by("PutEvents"),
    "library": _by("the library"),
    "outbox": _by("upload"),
    "offload": lambda report: _arrived(report, lambda sent, _: sent.offloaded),
    "queue": _at("sqs"),
    "function": _at("lambda"),
    "endpoint": _at("https"),
    "accounts": lambda report: _arrived(report, lambda _, each: each.account != report.publisher.account),
    "regions": lambda report: _arrived(report, lambda _, each: each.region != report.publisher.region),
    "memory": lambda report: _all([bool(used.small) for used in report.functions]),
    "readers": lambda report: _denied(report, "read a payload", "assume"),
    "senders": lambda report: _denied(report, "upload", "put an event", "publish", "subscribe"),
    "untrusted": lambda report: _denied(report, "send a pointer"),
}
"""Each promise by its name."""
