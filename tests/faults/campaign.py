"""All lots, one after another: send, spoil, deliver; then the faults end, and what failed is sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from tests.faults.arrivals import Arrival, Arrivals
from tests.faults.dead_letters import DeadLetter, DeadLetters
from tests.faults.deliveries import Deliveries
from tests.faults.environment import Site, subscribers
from tests.faults.functions import Functions
from tests.faults.invocations import Invocations
from tests.faults.message import Message
from tests.faults.proxy import Proxy
from tests.faults.run import Lot, every_case, every_step
from tests.faults.senders import Senders
from tests.faults.storage_faults import HOPELESS, Spoiler

Handed = tuple[str, str]
"""A subscriber, and the id of a message that it is handed."""


@dataclass(frozen=True)
class Outcome:
    """What became of one lot.

    sent: by message id. expected: whom each has to be handed to. injected: how often each fault was, kills and the like
    among them. refused: messages whose sender was told so. dead_letters: what was in the queues when all was delivered.
    unaccounted: what was then neither handed on, nor a dead letter, nor refused. premature: what was handed on although
    its payload was spoiled. left: what could not even be handled when there were no faults any longer. missed: kills
    that were planned and did not come.
    """

    lot: Lot
    sent: Mapping[str, Message]
    expected: Collection[Handed]
    injected: Mapping[str, int]
    refused: int
    dead_letters: list[DeadLetter]
    unaccounted: set[Handed]
    premature: set[Handed]
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


def unaccounted(expected: Iterable[Handed], handed: Iterable[Handed], letters: Iterable[DeadLetter]) -> set[Handed]:
    """What was neither handed on, nor is a dead letter, its own or of a function before it."""
    stuck = {(letter.place, letter.message_id) for letter in letters}
    return {
        (subscriber, id_)
        for subscriber, id_ in set(expected) - set(handed)
        if not stuck.intersection((place, id_) for place in (subscriber, *_BEFORE.get(subscriber, ()), "publish"))
    }


_BEFORE = {"landing": ("orders",)}


class Campaign:
    """At one site, whose functions reach AWS through the proxy. progress: called with a line after each lot."""

    def __init__(
        self, site: Site, functions: Functions, proxy: Proxy, *, seed: int, progress: Callable[[Outcome], None]
    ) -> None:
        self._site, self._functions, self._proxy = site, functions, proxy
        self._seed, self._progress = seed, progress
        self._arrivals = Arrivals(site.sources, read=site.stored)
        self._spoiler = Spoiler(site, seed=seed)
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

    def _run(self, lot: Lot) -> Invocations:
        self._proxy.inject(lot.faults, lot.rate)
        invocations = Invocations(self._functions, lot, seed=self._seed)
        senders = Senders(self._site, invocations)
        senders.send(lot.messages)
        spoiled = self._spoiler.spoil(lot, senders.sent)
        Deliveries(self._site, invocations, batch=lot.batch).deliver()
        letters = DeadLetters(self._site, invocations).take()
        injected = {**self._proxy.injected(), **invocations.done, **Counter[str](spoiled.values())}
        self._proxy.inject((), 0)

        told = {message.id for message in senders.refused}
        expected = {(subscriber, id_) for id_, sent in senders.sent.items() for subscriber in subscribers(sent)}
        handed = {(arrival.subscriber, arrival.message_id) for arrival in self._arrivals.all()}
        self._spoiler.restore(spoiled, senders.sent)
        outcome = Outcome(
            lot=lot,
            sent=senders.sent,
            expected=expected,
            injected=injected,
            refused=len(told),
            dead_letters=letters,
            unaccounted=unaccounted({one for one in expected if one[1] not in told}, handed, letters),
            premature={one for one in handed if spoiled.get(one[1]) in HOPELESS},
            left=self._send_again(lot, senders.refused, letters),
            missed=len(lot.kills) - invocations.done["killed"] if lot.kills else 0,
        )
        self._result.outcomes.append(outcome)
        self._progress(outcome)
        return invocations

    def _send_again(self, lot: Lot, refused: Iterable[Message], letters: Iterable[DeadLetter]) -> int:
        """What was refused, and what is a dead letter; answers how much of that fails again, without a fault."""
        invocations = Invocations(self._functions, lot.calm, seed=self._seed)
        senders, letterbox = Senders(self._site, invocations), DeadLetters(self._site, invocations)
        deliveries = Deliveries(self._site, invocations, batch=lot.batch)
        senders.send(refused)
        letterbox.redrive(letters, deliveries.attempt)
        deliveries.deliver()
        return len(letterbox.take()) + len(senders.refused)
