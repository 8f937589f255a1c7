"""What has to hold, and what did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from faults.campaign import Outcome, Result
from faults.site import SUBSCRIBERS


@dataclass(frozen=True)
class Row:
    """One lot, or all of them, in messages; what is one per subscriber counts for each.

    sent: messages that a sender had accepted, in the end. handed_on: those that every subscriber's application was
    handed. lost: deliveries that never came. corrupt: handed on with other bytes, under an id that nobody sent, or
    while the payload was spoiled. doubled: handed on once more. dead_lettered: dead letters that there were before
    they were sent back.
    """

    name: str
    sent: int
    injected: int
    dead_lettered: int
    handed_on: int
    lost: int
    corrupt: int
    doubled: int


class Verdict:
    """rows: a lot each. total: their sums. broken: what does not hold, a sentence each."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self.rows = [_row(outcome, result) for outcome in result.outcomes]
        sums = {name: sum(getattr(row, name) for row in self.rows) for name in _COUNTED}
        stray = _strays(result)
        sums["corrupt"] += len(stray)
        self.total = Row(name="together", **sums)
        self.broken = [
            sentence
            for number, sentence in (
                (self.total.lost, "deliveries were lost"),
                (self.total.corrupt, "were handed on corrupt, or under an id that nobody sent"),
                (self.total.doubled, "were handed on twice"),
                (self._sum("unaccounted"), "were neither handed on nor a dead letter when the faults ended"),
                (sum(outcome.left for outcome in result.outcomes), "failed although there were no faults any longer"),
                (sum(outcome.missed for outcome in result.outcomes), "planned kills did not happen"),
                (len(result.outbox), "uploads are still in the outbox"),
                (result.unseen, "failures of functions are in no metric"),
            )
            if number
            for sentence in [f"{number} {sentence}"]
        ]

    @property
    def ok(self) -> bool:
        return not self.broken and self.total.sent > 0

    def _sum(self, name: str) -> int:
        return sum(len(getattr(outcome, name)) for outcome in self.result.outcomes)


_COUNTED = ("sent", "injected", "dead_lettered", "handed_on", "lost", "corrupt", "doubled")


def _row(outcome: Outcome, result: Result) -> Row:
    mine = [arrival for arrival in result.arrivals if arrival.message_id in outcome.sent]
    times = Counter((arrival.subscriber, arrival.message_id) for arrival in mine)
    missing = {(subscriber, id_) for subscriber in SUBSCRIBERS for id_ in outcome.sent} - set(times)
    digests = {id_: message.sha256 for id_, message in outcome.sent.items()}
    wrong = {
        (arrival.subscriber, arrival.message_id)
        for arrival in mine
        if {arrival.sha256, result.digests[arrival.bucket, arrival.key]} != {digests[arrival.message_id]}
    }
    return Row(
        name=outcome.lot.name,
        sent=len(outcome.sent),
        injected=sum(outcome.injected.values()),
        dead_lettered=len({(letter.place, letter.message_id) for letter in outcome.dead_letters}),
        handed_on=len(outcome.sent) - len({id_ for _, id_ in missing}),
        lost=len(missing),
        corrupt=len(wrong | outcome.premature),
        doubled=sum(number - 1 for number in times.values()),
    )


def _strays(result: Result) -> set[str]:
    sent: set[str] = set().union(*_ids(result.outcomes))
    return {arrival.arn for arrival in result.arrivals if arrival.message_id not in sent}


def _ids(outcomes: Iterable[Outcome]) -> Iterable[set[str]]:
    return (set(outcome.sent) for outcome in outcomes)
