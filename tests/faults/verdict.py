"""The verdict: the campaign's result compared with the invariants."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tests.faults.arrivals import Arrival
from tests.faults.campaign import CampaignOutcome, CampaignResult, Delivery


@dataclass(frozen=True)
class Row:
    """Numbers of one run, of one subscriber, or of all runs."""

    name: str
    sent: int
    """Messages."""
    injected: int
    """Faults."""
    dead_lettered: int
    """Dead letters before the redrive, one for each function."""
    handed_off: int
    """Messages that arrived at all subscribers."""
    lost: int
    """Deliveries that did not arrive."""
    corrupt: int
    """Deliveries with other bytes, with an unknown id, or of a payload with a permanent storage fault."""
    duplicated: int
    """Additional arrivals of a delivery."""
    out_of_order: int
    """Arrivals after a later message of their group, without dead letters."""


COLUMNS = ("sent", "injected", "dead_lettered", "handed_off", "lost", "corrupt", "duplicated", "out_of_order")


class Verdict:
    """The violations of the invariants, with a row for each run and each subscriber."""

    def __init__(self, result: CampaignResult) -> None:
        self.result = result
        findings = [_Findings(outcome, result) for outcome in result.outcomes]
        self.rows = [finding.row(finding.outcome.run.name) for finding in findings]
        sums = {name: sum(getattr(row, name) for row in self.rows) for name in COLUMNS}
        sums["corrupt"] += len(_unknown_arrivals(result))
        self.total = Row(name="total", **sums)
        names = sorted({subscriber for outcome in result.outcomes for subscriber, _ in outcome.expected})
        self.subscribers = [_sum(name, [finding.of(name) for finding in findings]) for name in names]
        outcomes = result.outcomes
        self.violations = [
            f"{number} {text}"
            for number, text in (
                (self.total.lost, "deliveries were lost"),
                (self.total.corrupt, "deliveries were corrupt, or had an unknown message id"),
                (self.total.duplicated, "deliveries were duplicated"),
                (self.total.out_of_order, "deliveries were out of their group's order"),
                (
                    sum(len(outcome.unaccounted) for outcome in outcomes),
                    "deliveries were neither handed off nor dead-lettered when the faults ended",
                ),
                (sum(outcome.failed_again for outcome in outcomes), "messages failed after the faults had ended"),
                (sum(outcome.missed_kills for outcome in outcomes), "planned kills did not happen"),
                (len(result.outbox), "uploads are still in the outbox"),
                (result.uncounted, "failures of functions have no metric"),
            )
            if number
        ]

    @property
    def ok(self) -> bool:
        """Whether messages were sent, and no invariant is violated."""
        return not self.violations and self.total.sent > 0


class _Findings:
    """The arrivals of one run, or of one run and subscriber."""

    def __init__(self, outcome: CampaignOutcome, result: CampaignResult, *, only: str | None = None) -> None:
        self.outcome, self._result = outcome, result
        self._expected = {delivery for delivery in outcome.expected if only in (None, delivery[0])}
        self._arrivals = [
            arrival
            for arrival in result.arrivals
            if arrival.message_id in outcome.sent and only in (None, arrival.subscriber)
        ]
        self._only = only

    def of(self, subscriber: str) -> Row:
        return _Findings(self.outcome, self._result, only=subscriber).row(subscriber)

    def row(self, name: str) -> Row:
        numbers = Counter((arrival.subscriber, arrival.message_id) for arrival in self._arrivals)
        missing, sent = self._expected - set(numbers), {message_id for _, message_id in self._expected}
        dead = {(dead_letter.function, dead_letter.message_id) for dead_letter in self.outcome.dead_letters}
        premature = {delivery for delivery in self.outcome.premature if self._only in (None, delivery[0])}
        return Row(
            name=name,
            sent=len(sent),
            injected=sum(self.outcome.injected.values()),
            dead_lettered=len({delivery for delivery in dead if self._only in (None, delivery[0])}),
            handed_off=len(sent) - len({message_id for _, message_id in missing}),
            lost=len(missing),
            corrupt=len(premature.union(self._corrupt())),
            duplicated=sum(number - 1 for number in numbers.values()),
            out_of_order=sum(map(_out_of_order, self._groups(dead))),
        )

    def _corrupt(self) -> Iterable[Delivery]:
        for arrival in self._arrivals:
            digests = {arrival.sha256, self._result.digests[arrival.bucket, arrival.key]}
            if digests != {self.outcome.sent[arrival.message_id].sha256}:
                yield arrival.subscriber, arrival.message_id

    def _groups(self, dead: Collection[Delivery]) -> Iterable[list[int]]:
        """Yield the numbers of a group's messages in the order of their arrival.

        Dead letters are left out, because they arrive after their redrive.
        """
        groups: dict[tuple[str, str], list[Arrival]] = defaultdict(list)
        for arrival in self._arrivals:
            group = self.outcome.sent[arrival.message_id].group
            if group and (arrival.subscriber, arrival.message_id) not in dead:
                groups[arrival.subscriber, group].append(arrival)
        for arrivals in groups.values():
            ordered = sorted(arrivals, key=lambda arrival: arrival.started)
            yield [self.outcome.sent[arrival.message_id].number for arrival in ordered]


def _out_of_order(numbers: Sequence[int]) -> int:
    """Return how many numbers come after a higher number."""
    return sum(number < max(numbers[:position], default=number) for position, number in enumerate(numbers))


def _sum(name: str, rows: Sequence[Row]) -> Row:
    return Row(name=name, **{column: sum(getattr(row, column) for row in rows) for column in COLUMNS})


def _unknown_arrivals(result: CampaignResult) -> set[str]:
    sent: set[str] = set().union(*(outcome.sent for outcome in result.outcomes))
    return {arrival.arn for arrival in result.arrivals if arrival.message_id not in sent}
