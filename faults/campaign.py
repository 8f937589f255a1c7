"""All lots, one after another: send, spoil, deliver; then the faults end, and what failed is sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from faults.arrivals import Arrival, Arrivals
from faults.deliveries import DeadLetter, Deliveries
from faults.functions import Functions
from faults.lot import Chance, Lot, every_case, every_step
from faults.message import Message
from faults.proxy import Proxy
from faults.site import SUBSCRIBERS, Site


@dataclass(frozen=True)
class Outcome:
    """What became of one lot.

    sent: by message id. injected: how often each fault was, kills and the like among them. refused: messages whose
    sender was told so. dead_letters: what was in the queues when all was delivered. unaccounted: (subscriber, message
    id) of what was then neither handed on, nor a dead letter, nor refused. premature: what was handed on although its
    payload was spoiled. left: what could not even be handled when there were no faults any longer. missed: kills that
    were planned and did not come.
    """

    lot: Lot
    sent: Mapping[str, Message]
    injected: Mapping[str, int]
    refused: int
    dead_letters: list[DeadLetter]
    unaccounted: set[tuple[str, str]]
    premature: set[tuple[str, str]]
    left: int
    missed: int


@dataclass
class Result:
    """outcomes: of each lot. arrivals, digests: at the end. outbox: keys that are still in it. unseen: failures of
    functions that no metric tells of. errors: those that metrics do tell of, by function and class."""

    outcomes: list[Outcome] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    digests: Mapping[tuple[str, str], str] = field(default_factory=dict)
    outbox: list[str] = field(default_factory=list)
    unseen: int = 0
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Campaign:
    """At one site, whose functions reach AWS through the proxy. progress: called with a line after each lot."""

    def __init__(
        self, site: Site, functions: Functions, proxy: Proxy, *, seed: int, progress: Callable[[Outcome], None]
    ) -> None:
        self._site, self._functions, self._proxy = site, functions, proxy
        self._seed, self._progress = seed, progress
        self._arrivals = Arrivals(site)
        self._result = Result()

    def run(self, lots: Iterable[Lot]) -> None:
        for lot in lots:
            self._run(lot)

    def kill_at_every_step(self, *, without: Collection[str] = ()) -> None:
        """Count the requests of every way through the functions but some; then go it once for each, and be killed
        there."""
        counted = self._run(every_case(self._seed, without=without))
        self._run(every_step(counted.calls, self._seed))

    def finish(self) -> Result:
        """Look at everything that was handed on, and at what is left."""
        result = self._result
        result.arrivals = self._arrivals.all()
        result.digests = self._arrivals.stored_digests(result.arrivals)
        listed = self._site.s3.list_objects_v2(Bucket=self._site.payloads, Prefix="outbox/")
        result.outbox = [entry["Key"] for entry in listed.get("Contents", [])]
        result.unseen, result.errors = self._functions.unseen, self._functions.errors
        return result

    def _run(self, lot: Lot) -> Deliveries:
        self._proxy.inject(lot.faults, lot.rate)
        deliveries = Deliveries(self._site, self._functions, lot, seed=self._seed)
        deliveries.send(lot.messages)
        spoiled = self._spoil(lot, deliveries.sent)
        deliveries.deliver()
        letters = deliveries.take_dead_letters()
        injected = {**self._proxy.injected(), **deliveries.done, **Counter(spoiled.values())}
        self._proxy.inject((), 0)

        handed = {(arrival.subscriber, arrival.message_id) for arrival in self._arrivals.all()}
        told = {message.id for message in deliveries.refused}
        stuck = {(letter.place, letter.message_id) for letter in letters}
        unaccounted = {
            (subscriber, id_)
            for subscriber in SUBSCRIBERS
            for id_ in deliveries.sent
            if id_ not in told and not {(subscriber, id_), ("publish", id_)} & stuck and (subscriber, id_) not in handed
        }
        premature = {(subscriber, id_) for subscriber, id_ in handed if id_ in spoiled}

        for id_ in spoiled:
            self._site.s3.put_object(
                Bucket=self._site.payloads, Key=f"payloads/{id_}", Body=deliveries.sent[id_].payload
            )
        calm = Deliveries(self._site, self._functions, lot.calm, seed=self._seed)
        calm.send(deliveries.refused)
        calm.redrive(letters)
        calm.deliver()
        outcome = Outcome(
            lot=lot,
            sent=deliveries.sent,
            injected=injected,
            refused=len(deliveries.refused),
            dead_letters=letters,
            unaccounted=unaccounted,
            premature=premature,
            left=len(calm.take_dead_letters()) + len(calm.refused),
            missed=len(lot.kills) - deliveries.done["killed"] if lot.kills else 0,
        )
        self._result.outcomes.append(outcome)
        self._progress(outcome)
        return deliveries

    def _spoil(self, lot: Lot, sent: Mapping[str, Message]) -> dict[str, str]:
        """What became of stored payloads, by message id."""
        chance, done = Chance(self._seed), {}
        for number, id_ in enumerate(sent):
            if not lot.spoiled or not chance.strikes(lot.share, "spoiled", id_):
                continue
            what = lot.spoiled[number % len(lot.spoiled)]
            place = {"Bucket": self._site.payloads, "Key": f"payloads/{id_}"}
            try:
                size = self._site.s3.head_object(**place)["ContentLength"]
            except ClientError:  # it went inline, or its publication failed
                continue
            if what == "expired":
                self._site.s3.delete_object(**place)
            else:
                self._site.s3.put_object(**place, Body=b"?" * size)
            done[id_] = f"payload {what}"
        return done
