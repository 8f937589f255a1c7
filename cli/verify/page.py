"""The report of a run as a page in Markdown. Accounts are named by their parts in the deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from cli.scenario.promises import outcomes
from cli.scenario.report import Report, seconds_between
from cli.scenario.world import Unseen
from stacks.deployment import Deployment

_WORDS: Mapping[bool | None, str] = {True: "kept", False: "**broken**", None: "not shown"}


def page(report: Report, deployment: Deployment, *, version: str, left: Sequence[Unseen]) -> str:
    """Return the page. Its rows are those of docs/verified.md that the run can show."""
    text = "\n".join(_lines(report, deployment, version, left)) + "\n"
    return re.sub(r"\b\d{12}\b", lambda number: _parts(deployment).get(number[0], "another account"), text)


def _parts(deployment: Deployment) -> Mapping[str, str]:
    parts = {subscriber.account: f"{subscriber.name}'s account" for subscriber in deployment.subscribers}
    parts |= {sender.account: f"{sender.name}'s account" for sender in deployment.senders}
    return parts | {deployment.publisher.account: "the publisher's account"}


def _lines(report: Report, deployment: Deployment, version: str, left: Sequence[Unseen]) -> Iterator[str]:
    regions = sorted({deployment.publisher.region, *(subscriber.region for subscriber in deployment.subscribers)})
    yield f"# Run of `coatcheck verify`, {report.started_at:%Y-%m-%d %H:%M} UTC"
    yield ""
    verdict = "Everything that was tried was as promised." if report.ok else "**Something was not as promised.**"
    yield f"{verdict} Deployment `{deployment.name}`, coatcheck {version}, {', '.join(regions)}."
    yield from _table(
        "Rows for docs/verified.md",
        ("promise", "on AWS"),
        [(f"`{name}`", _WORDS[outcome]) for name, outcome in outcomes(report).items()],
    )
    yield from _table(
        "Payloads",
        ("payload", "route", "bytes", "subscriber", "published after", "ended after", "application", "digest equal"),
        list(_payloads(report)),
    )
    yield from _table(
        "Requests that must be denied",
        ("request", "caller", "denied by", "result"),
        [
            (each.attempt, each.caller, each.policy, "denied" if each.denied else each.response)
            for each in report.attempts
        ],
    )
    yield from _table(
        "Memory of the functions",
        ("function", "Region", "MB"),
        [(used.function, used.region, str(used.peak_memory_mb)) for used in report.functions],
    )
    yield from _table("Not seen", ("subject", "reason"), [(each.subject, each.reason) for each in report.unseen])
    yield from _table("Not deleted", ("object", "reason"), [(each.subject, each.reason) for each in left])


def _payloads(report: Report) -> Iterator[tuple[str, ...]]:
    for payload in report.payloads:
        sent, published = payload.submission, seconds_between(payload.submission.at, payload.published_at)
        for subscriber in report.subscribers:
            arrival = payload.arrivals.get(subscriber.name)
            ended = seconds_between(sent.at, (arrival.ended_at or arrival.at) if arrival else None)
            yield (
                *(sent.payload, sent.route, f"{sent.bytes:,}", subscriber.name),
                *(f"{time} s" if time is not None else "" for time in (published, ended)),
                f"{arrival.kind}, {arrival.status}" if arrival else "did not arrive",
                f"yes, by {arrival.digest_by}" if arrival and payload.intact(subscriber) else "no",
            )


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", f"## {title}", "")
    for row in (columns, ["---"] * len(columns), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
