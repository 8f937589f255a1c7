"""What the demo found: as tables for a person, and as JSON for a program."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.scenario.deliveries import Delivery
from cli.scenario.refusals import Refusal
from local.limitations import NOT_ENFORCED
from stacks.deployment import Deployment

MOST_MEMORY_MB = 160


@dataclass(frozen=True)
class FunctionMemory:
    """Peak resident memory of a function's own process, over all its invocations; None when it reported none."""

    function: str
    account: str
    region: str
    peak_memory_mb: int | None


@dataclass(frozen=True)
class Report:
    deployment: Deployment
    deliveries: Sequence[Delivery]
    refusals: Sequence[Refusal]
    functions: Sequence[FunctionMemory]
    seconds: dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether every payload arrived whole everywhere, every attempt was refused, every function stayed small."""
        delivered = all(d.whole(s) for d in self.deliveries for s in self.deployment.subscribers)
        small = all(f.peak_memory_mb and f.peak_memory_mb < MOST_MEMORY_MB for f in self.functions)
        something = bool(self.deliveries and self.refusals and self.functions)
        return something and delivered and small and all(r.held for r in self.refusals)

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "deployment": self.deployment.name,
            "payloads": [self._payload(delivery) for delivery in self.deliveries],
            "refusals": [asdict(refusal) for refusal in self.refusals],
            "functions": [asdict(function) for function in self.functions],
            "not_enforced": [asdict(limit) for limit in NOT_ENFORCED],
            "seconds": {stage: round(seconds, 1) for stage, seconds in self.seconds.items()},
        }

    def _payload(self, delivery: Delivery) -> dict[str, Any]:
        sent = delivery.sent
        return {
            "what": sent.what,
            "route": sent.route,
            "bytes": sent.bytes,
            "sha256": sent.sha256,
            "message_id": delivery.message_id,
            "sent_at": sent.at.isoformat(),
            "published_after_seconds": _after(sent.at, delivery.published_at),
            "subscribers": [
                {
                    "name": subscriber.name,
                    "account": subscriber.account,
                    "region": subscriber.region,
                    "bytes": arrival.bytes if arrival else None,
                    "sha256": arrival.sha256 if arrival else None,
                    "downstream": {"kind": arrival.kind, "status": arrival.status, "arn": arrival.arn}
                    if arrival
                    else None,
                    "after_seconds": _after(sent.at, arrival.at if arrival else None),
                    "ok": delivery.whole(subscriber),
                }
                for subscriber in self.deployment.subscribers
                for arrival in [delivery.arrivals.get(subscriber.name)]
            ],
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def show(self, console: Console) -> None:
        console.print(self._payload_table())
        console.print(self._refusal_table())
        console.print(self._memory_table())
        console.print(self._limits_table())

    def _payload_table(self) -> Table:
        table = _table("Payloads, from door to application", "what", "route", "size", "subscriber", "hops", "verdict")
        for delivery in self.deliveries:
            sent = delivery.sent
            for index, subscriber in enumerate(self.deployment.subscribers):
                whole = delivery.whole(subscriber)
                table.add_row(
                    *((escape(sent.what), sent.route, _size(sent.bytes)) if index == 0 else ("", "", "")),
                    f"{subscriber.name} {subscriber.account}\n{subscriber.region}",
                    _hops(delivery, subscriber.name),
                    _verdict(whole, f"sha256 {sent.sha256[:8]}… equal" if whole else "not as it was sent"),
                    end_section=index == len(self.deployment.subscribers) - 1,
                )
        return table

    def _refusal_table(self) -> Table:
        table = _table("What must be refused", "tried", "by", "refused by", "verdict")
        for refusal in self.refusals:
            verdict = _verdict(refusal.held, "refused" if refusal.held else escape(refusal.answer))
            table.add_row(refusal.tried, refusal.by, refusal.refused_by, verdict)
        return table

    def _memory_table(self) -> Table:
        table = _table("Peak memory of the functions, whatever the size", "function", "account", "region", "MB")
        for function in self.functions:
            table.add_row(
                function.function, function.account, function.region, str(function.peak_memory_mb or "did not run")
            )
        return table

    def _limits_table(self) -> Table:
        table = _table("What the emulator does not enforce (AWS does: trust the templates)", "what", "here")
        for limit in NOT_ENFORCED:
            table.add_row(limit.name, limit.here)
        return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, expand=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _hops(delivery: Delivery, subscriber: str) -> str:
    sent, arrival = delivery.sent, delivery.arrivals.get(subscriber)
    hops = [("published", delivery.published_at)] if delivery.published_at else []
    lines = [f"+{_after(sent.at, at):.1f} s {hop}" for hop, at in hops]
    lines.append(
        f"+{_after(sent.at, arrival.at):.1f} s {arrival.kind} {arrival.status}" if arrival else "not handed on in time"
    )
    return "\n".join(lines)


def _after(start: datetime, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 2) if end else None


def _verdict(good: bool, text: str) -> str:
    return f"[green]✓ {text}[/]" if good else f"[red]✗ {text}[/]"


def _size(size: int) -> str:
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
