"""The result of the scenario: a summary for the terminal, and the whole as JSON and as a page of HTML."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.scenario.deliveries import ReceivedPayload
from cli.scenario.memory import FunctionMemory
from cli.scenario.page import page
from cli.scenario.refusals import RefusedAttempt
from cli.scenario.world import Unseen
from cli.sizes import size_text
from local.limitations import Limitation
from stacks.deployment import Deployment, PublisherConfig, SubscriberConfig

PAGE = "index.html"
"""The name of the page, which is next to the JSON file."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of the scenario.

    subscribers: those whose arrivals could be seen. unseen: parts that could not be tried or observed, with the reason.
    not_sent: payloads that the deployment does not accept, with the reason.
    """

    deployment: str
    started_at: datetime
    publisher: PublisherConfig
    subscribers: Sequence[SubscriberConfig]
    unseen: Sequence[Unseen] = ()
    not_sent: Sequence[Unseen] = ()
    not_enforced: Sequence[Limitation] = ()
    payloads: Sequence[ReceivedPayload]
    attempts: Sequence[RefusedAttempt]
    functions: Sequence[FunctionMemory]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether all payloads arrived intact, all attempts were denied, and all functions stayed below the limit.

        A run that could try nothing is not ok.
        """
        all_tried = self.payloads and self.attempts and self.functions
        complete = bool(all_tried or (self.unseen and (self.payloads or self.attempts)))
        intact = all(payload.intact(subscriber) for payload in self.payloads for subscriber in self.subscribers)
        denied = all(attempt.denied for attempt in self.attempts)
        small = all(used.small for used in self.functions)
        return complete and intact and denied and small

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable values."""
        return {
            "ok": self.ok,
            "deployment": self.deployment,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "payloads": [self._payload(payload) for payload in self.payloads],
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "functions": [asdict(function) for function in self.functions],
            "not_enforced": [asdict(limitation) for limitation in self.not_enforced],
            "unseen": [asdict(each) for each in self.unseen],
            "not_sent": [asdict(each) for each in self.not_sent],
            "seconds": {stage: round(seconds, 1) for stage, seconds in self.seconds.items()},
        }

    def write(self, path: Path, deployment: Deployment, **more: Any) -> tuple[Path, Path]:
        """Write the report and `more` values to a file as JSON, and the page next to it. Return both paths."""
        content, html = self.to_json() | more, path.with_name(PAGE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        html.write_text(page(content, deployment), encoding="utf-8")
        return html, path

    def show(self, console: Console) -> None:
        """Print a summary: a line for each arrival, and the failures."""
        for payload in self.payloads:
            sent, published = payload.submission, seconds_between(payload.submission.at, payload.published_at)
            after = f", published after {published:.1f} s" if published is not None else ""
            console.print(Text(f"{sent.payload}, {size_text(sent.bytes)}, {sent.route}{after}", "bold"))
            _print_rows(console, (self._row(payload, subscriber) for subscriber in self.subscribers))
        if self.attempts:
            denied = [attempt for attempt in self.attempts if attempt.denied]
            console.print(Text(f"Requests that must be denied: {len(denied)} of {len(self.attempts)} were", "bold"))
            counts = Counter(attempt.policy for attempt in denied)
            _print_rows(console, ((True, str(count), f"by {policy}") for policy, count in counts.items()))
            allowed = (attempt for attempt in self.attempts if not attempt.denied)
            _print_rows(console, ((False, each.attempt, f"{each.caller}: {each.response}") for each in allowed))
        if self.functions:
            console.print(Text("Peak memory of the functions", "bold"))
            _print_rows(console, map(_memory, self.functions))
        for title, missing in (("not seen", self.unseen), ("not sent", self.not_sent)):
            for each in missing:
                console.print(Text(f"{title}: {each.subject}: {each.reason}", "yellow"))

    def _row(self, payload: ReceivedPayload, subscriber: SubscriberConfig) -> tuple[bool, str, str]:
        arrival, intact = payload.arrivals.get(subscriber.name), payload.intact(subscriber)
        if not payload.matches(subscriber):
            return intact, subscriber.name, f"{'not ' if intact else ''}delivered, its filter policy does not match"
        if not arrival:
            return False, subscriber.name, "did not arrive in time"
        ended = seconds_between(payload.submission.at, arrival.ended_at or arrival.at)
        digest = "intact" if intact else "missing or different"
        return intact, subscriber.name, f"{arrival.kind} {arrival.status} after {ended:.1f} s, {digest}"

    def _payload(self, payload: ReceivedPayload) -> dict[str, Any]:
        sent = payload.submission
        return {
            "payload": sent.payload,
            "route": sent.route,
            "bytes": sent.bytes,
            "sha256": sent.sha256,
            "message_id": payload.message_id,
            "sent_at": sent.at.isoformat(),
            "published_after_seconds": seconds_between(sent.at, payload.published_at),
            "subscribers": [self._arrival(payload, subscriber) for subscriber in self.subscribers],
        }

    def _arrival(self, payload: ReceivedPayload, subscriber: SubscriberConfig) -> dict[str, Any]:
        arrival = payload.arrivals.get(subscriber.name)
        application = {"kind": arrival.kind, "status": arrival.status, "arn": arrival.arn} if arrival else None
        ended_at = arrival.ended_at if arrival else None
        return {
            "name": subscriber.name,
            "account": subscriber.account,
            "region": subscriber.region,
            "bytes": arrival.bytes if arrival else None,
            "sha256": arrival.sha256 if arrival else None,
            "digest_by": arrival.digest_by if arrival else None,
            "application": application,
            "after_seconds": seconds_between(payload.submission.at, arrival.at if arrival else None),
            "ended_after_seconds": seconds_between(payload.submission.at, ended_at),
            "filtered": not payload.matches(subscriber),
            "ok": payload.intact(subscriber),
        }


def _print_rows(console: Console, rows: Iterator[tuple[bool, str, str]]) -> None:
    """Print rows of a result, a name and a text. A long text continues below its beginning."""
    table = Table.grid(padding=(0, 1, 0, 0))
    for column in range(3):
        table.add_column(no_wrap=column < 2)
    for ok, name, text in rows:
        mark = Text("✓", "green") if ok else Text("✗", "red")
        table.add_row(mark, Text(name), Text(text, "" if ok else "red"))
    if table.rows:
        console.print(Padding(table, (0, 0, 0, 2), expand=False))


def _memory(used: FunctionMemory) -> tuple[bool, str, str]:
    read = "" if used.read_bytes is None else f", own code read {size_text(used.read_bytes)}"
    return used.small, used.function, f"{used.peak_memory_mb} MB{read}" if used.peak_memory_mb else "did not run"


def seconds_between(start: datetime, end: datetime | None) -> float | None:
    """Return the seconds from one time to another, or None if there is no other."""
    return round((end - start).total_seconds(), 2) if end else None
