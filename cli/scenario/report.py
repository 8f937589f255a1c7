"""The result of the scenario, as tables and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.scenario.deliveries import ReceivedPayload
from cli.scenario.memory import FunctionMemory
from cli.scenario.refusals import RefusedAttempt
from cli.scenario.world import Unseen
from local.limitations import Limitation
from stacks.deployment import PublisherConfig, SubscriberConfig


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of the scenario.

    subscribers: those whose arrivals could be seen. unseen: what could not be tried or seen, with the reason.
    """

    deployment: str
    started_at: datetime
    publisher: PublisherConfig
    subscribers: Sequence[SubscriberConfig]
    unseen: Sequence[Unseen] = ()
    not_enforced: Sequence[Limitation] = ()
    payloads: Sequence[ReceivedPayload]
    attempts: Sequence[RefusedAttempt]
    functions: Sequence[FunctionMemory]
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether all payloads arrived intact, all attempts were denied, and all functions stayed below the limit."""
        complete = bool(self.unseen or (self.payloads and self.attempts and self.functions))
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
            "seconds": {stage: round(seconds, 1) for stage, seconds in self.seconds.items()},
        }

    def write(self, path: Path) -> None:
        """Write the report to a file, as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def show(self, console: Console) -> None:
        """Print the report as tables."""
        for table in (self._payload_table(), self._attempt_table(), self._memory_table(), self._limitations_table()):
            if table.row_count:
                console.print(table)
        for each in self.unseen:
            console.print(f"[yellow]not seen:[/] {escape(each.subject)}: {escape(each.reason)}", soft_wrap=True)

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

    def _payload_table(self) -> Table:
        table = _table(
            "Payloads, from sender to application", "payload", "route", "size", "subscriber", "steps", "result"
        )
        for payload in self.payloads:
            sent = payload.submission
            for index, subscriber in enumerate(self.subscribers if payload.message_id else ()):
                intact, matches = payload.intact(subscriber), payload.matches(subscriber)
                right = f"sha256 {sent.sha256[:8]}… equal" if matches else "not delivered"
                wrong = "missing or different" if matches else "delivered"
                table.add_row(
                    *((escape(sent.payload), sent.route, _size(sent.bytes)) if index == 0 else ("", "", "")),
                    f"{subscriber.name} {subscriber.account}\n{subscriber.region}",
                    _steps(payload, subscriber) if matches else "its filter policy does not match",
                    _result(intact, right if intact else wrong),
                    end_section=index == len(self.subscribers) - 1,
                )
        return table

    def _attempt_table(self) -> Table:
        table = _table("Attempts that must be denied", "attempt", "caller", "denied by", "result")
        for attempt in self.attempts:
            result = _result(attempt.denied, "denied" if attempt.denied else escape(attempt.response))
            table.add_row(attempt.attempt, attempt.caller, attempt.policy, result)
        return table

    def _memory_table(self) -> Table:
        title = "Peak memory of the functions, at any payload size, and payload bytes that own code read"
        table = _table(title, "function", "account", "region", "MB", "read")
        for used in self.functions:
            read = "" if used.read_bytes is None else _size(used.read_bytes)
            table.add_row(used.function, used.account, used.region, str(used.peak_memory_mb or "did not run"), read)
        return table

    def _limitations_table(self) -> Table:
        table = _table("Limitations of the emulator", "subject", "in the emulator")
        for limitation in self.not_enforced:
            table.add_row(limitation.name, limitation.local)
        return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, expand=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("steps", "result"))
    return table


def _steps(payload: ReceivedPayload, subscriber: SubscriberConfig) -> str:
    start, arrival = payload.submission.at, payload.arrivals.get(subscriber.name)
    lines = [f"+{seconds_between(start, payload.published_at):.1f} s published"] if payload.published_at else []
    if arrival:
        end = arrival.ended_at or arrival.at
        lines.append(f"+{seconds_between(start, end):.1f} s {arrival.kind} {arrival.status}")
    else:
        lines.append("did not arrive in time")
    return "\n".join(lines)


def seconds_between(start: datetime, end: datetime | None) -> float | None:
    """Return the seconds from one time to another, or None if there is no other."""
    return round((end - start).total_seconds(), 2) if end else None


def _result(ok: bool, text: str) -> str:
    return f"[green]✓ {text}[/]" if ok else f"[red]✗ {text}[/]"


def _size(size: int) -> str:
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
