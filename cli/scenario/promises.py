"""The promises of the README that a run of the scenario shows, by their names in docs/verified.md."""

from collections.abc import Callable, Mapping

from cli.scenario.report import Report
from stacks.deployment import SubscriberConfig

Outcome = bool | None
"""Whether the run kept a promise. None: the run shows nothing about it."""


def outcomes(report: Report) -> Mapping[str, Outcome]:
    """Return the outcome of each promise that the scenario can show."""
    return {name: outcome(report) for name, outcome in PROMISES.items()}


def _all(values: list[bool]) -> Outcome:
    return all(values) if values else None


def _arrived(report: Report, route: str = "", kind: str = "") -> Outcome:
    return _all(
        [
            payload.intact(subscriber)
            for payload in report.payloads
            for subscriber in report.subscribers
            if payload.submission.route.startswith(route) and subscriber.kind.startswith(kind)
        ]
    )


def _offloaded(report: Report) -> Outcome:
    return _all(
        [
            payload.intact(subscriber)
            for payload in report.payloads
            for subscriber in report.subscribers
            if payload.submission.offloaded
        ]
    )


def _across(report: Report, differs: Callable[[SubscriberConfig], bool]) -> Outcome:
    subscribers = [subscriber for subscriber in report.subscribers if differs(subscriber)]
    return _all([payload.intact(subscriber) for payload in report.payloads for subscriber in subscribers])


def _denied(report: Report, *beginnings: str) -> Outcome:
    return _all([attempt.denied for attempt in report.attempts if attempt.attempt.startswith(beginnings)])


PROMISES: Mapping[str, Callable[[Report], Outcome]] = {
    "event": lambda report: _arrived(report, "PutEvents"),
    "library": lambda report: _arrived(report, "the library"),
    "outbox": lambda report: _arrived(report, "upload"),
    "offload": _offloaded,
    "queue": lambda report: _arrived(report, kind="sqs"),
    "function": lambda report: _arrived(report, kind="lambda"),
    "endpoint": lambda report: _arrived(report, kind="https"),
    "accounts": lambda report: _across(report, lambda each: each.account != report.publisher.account),
    "regions": lambda report: _across(report, lambda each: each.region != report.publisher.region),
    "memory": lambda report: _all([bool(used.small) for used in report.functions]),
    "readers": lambda report: _denied(report, "read a payload", "assume"),
    "senders": lambda report: _denied(report, "upload", "put an event", "publish", "subscribe"),
    "untrusted": lambda report: _denied(report, "send a pointer"),
}
"""Each promise by its name."""
