"""What has to hold, and what did."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tests.faults.arrivals import Arrival
from tests.faults.campaign import Handed, Outcome, Result


@dataclass(frozen=True)
class Row:
    """One lot, one subscriber, or all, in messages; what is one per subscriber counts for each.

    sent: messages that a sender had accepted, in the end. injected: faults. dead_lettered: dead letters that there were
    before they were sent back. handed_on: messages that every subscriber's application was handed. lost: deliveries
    that never came. corrupt: handed on with other bytes, under an id that nobody sent, or while the payload was
    spoiled. doubled: handed on once more. overtaken: handed on after a later one of its group, and no dead letter.
    """

    name: str
    sent: int
    injected: int
    dead_lettered: int
    handed_on: int
    lost: int
    corrupt: int
    doubled: int
    overtaken: int


COUNTED = ("sent", "injected", "dead_lettered", "handed_on", "lost", "corrupt", "doubled", "overtaken")


class Verdict:
    """rows: a lot each. total: their sums. subscribers: a subscriber each, of all lots. broken: what does not hold, a
    sentence each."""

    def __init__(self, result: Result) -> None:
        self.result = result
        findings = [_Finding(outcome, result) for outcome in result.outcomes]
        self.rows = [finding.row(finding.outcome.lot.name) for finding in findings]
        sums = {name: sum(getattr(row, name) for row in self.rows) for name in COUNTED}
        sums["corrupt"] += len(_strays(result))
        self.total = Row(name="together", **sums)
        names = sorted({subscriber for outcome in result.outcomes for subscriber, _ in outcome.expected})
        self.subscribers = [_sum(name, [finding.of(name) for finding in findings]) for name in names]
        self.broken = [
            f"{number} {sentence}"
            for number, sentence in (
                (self.total.lost, "deliveries were lost"),
                (self.total.corrupt, "were handed on corrupt, or under an id that nobody sent"),
                (self.total.doubled, "were handed on twice"),
                (self.total.overtaken, "were overtaken by a later one of their group"),
                (sum(len(outcome.unaccounted) for outcome in result.outcomes), _UNACCOUNTED),
                (sum(outcome.left for outcome in result.outcomes), "failed although there were no faults any longer"),
                (sum(outcome.missed for outcome in result.outcomes), "planned kills did not happen"),
                (len(result.outbox), "uploads are still in the outbox"),
                (result.unseen, "failures of functions are in no metric"),
            )
            if number
        ]

    @property
    def ok(self) -> bool:
        return not self.broken and self.total.sent > 0


_UNACCOUNTED = "were neither handed on nor a dead letter when the faults ended"


class _Finding:
    """What became of the deliveries of one lot, or of those to one subscriber."""

    def __init__(self, outcome: Outcome, result: Result, *, only: str | None = None) -> None:
        self.outcome, self._result = outcome, result
        self._expected = {one for one in outcome.expected if only in (None, one[0])}
        self._arrivals = [
            arrival
            for arrival in result.arrivals
            if arrival.message_id in outcome.sent and only in (None, arrival.subscriber)
        ]
        self._only = only

    def of(self, subscriber: str) -> Row:
        return _Finding(self.outcome, self._result, only=subscriber).row(subscriber)

    def row(self, name: str) -> Row:
        times = Counter((arrival.subscriber, arrival.message_id) for arrival in self._arrivals)
        missing, sent = self._expected - set(times), {id_ for _, id_ in self._expected}
        letters = {(letter.place, letter.message_id) for letter in self.outcome.dead_letters}
        premature = {one for one in self.outcome.premature if self._only in (None, one[0])}
        return Row(
            name=name,
            sent=len(sent),
            injected=sum(self.outcome.injected.values()),
            dead_lettered=len({letter for letter in letters if self._only in (None, letter[0])}),
            handed_on=len(sent) - len({id_ for _, id_ in missing}),
            lost=len(missing),
            corrupt=len(premature.union(self._wrong())),
            doubled=sum(number - 1 for number in times.values()),
            overtaken=sum(map(_overtaken, self._groups(letters))),
        )

    def _wrong(self) -> Iterable[Handed]:
        for arrival in self._arrivals:
            found = {arrival.sha256, self._result.digests[arrival.bucket, arrival.key]}
            if found != {self.outcome.sent[arrival.message_id].sha256}:
                yield arrival.subscriber, arrival.message_id

    def _groups(self, letters: Collection[Handed]) -> Iterable[list[int]]:
        """The numbers of a group's messages in the order in which they were handed on, without the dead letters: what
        comes from there comes later."""
        groups: dict[tuple[str, str], list[Arrival]] = defaultdict(list)
        for arrival in self._arrivals:
            group = self.outcome.sent[arrival.message_id].group
            if group and (arrival.subscriber, arrival.message_id) not in letters:
                groups[arrival.subscriber, group].append(arrival)
        for arrivals in groups.values():
            ordered = sorted(arrivals, key=lambda arrival: arrival.started)
            yield [self.outcome.sent[arrival.message_id].number for arrival in ordered]


def _overtaken(numbers: Sequence[int]) -> int:
    """How many come after a higher one."""
    return sum(number < max(numbers[:place], default=number) for place, number in enumerate(numbers))


def _sum(name: str, rows: Sequence[Row]) -> Row:
    return Row(name=name, **{counted: sum(getattr(row, counted) for row in rows) for counted in COUNTED})


def _strays(result: Result) -> set[str]:
    sent: set[str] = set().union(*(outcome.sent for outcome in result.outcomes))
    return {arrival.arn for arrival in result.arrivals if arrival.message_id not in sent}
