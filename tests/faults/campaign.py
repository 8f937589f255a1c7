"""The campaign: runs that send, inject storage faults, deliver, end the faults, and redrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from tests.faults.arrivals import Arrival, Arrivals
from tests.faults.dead_letters import DeadLetter, DeadLetters
from tests.faults.deliveries import Deliveries
from tests.faults.environment import Environment, subscribers_of
from tests.faults.functions import Functions
from tests.faults.invocations import Invocations
from tests.faults.message import CampaignMessage
from tests.faults.proxy import Proxy
from tests.faults.run import Run, every_flow, every_kill
from tests.faults.senders import Senders
from tests.faults.storage_faults import PERMANENT, StorageFaults

Delivery = tuple[str, str]
"""A subscriber, and the id of a message for it."""


@dataclass(frozen=True)
class CampaignOutcome:
    """The outcome of one run."""

    run: Run
    sent: Mapping[str, CampaignMessage]
    """Messages by message id."""
    expected: Collection[Delivery]
    injected: Mapping[str, int]
    """Numbers of faults and disturbances."""
    rejected: int
    """Messages whose sender received an error."""
    dead_letters: list[DeadLetter]
    """The dead letters after all deliveries."""
    unaccounted: set[Delivery]
    """Deliveries that were then neither handed off, nor dead-lettered, nor rejected."""
    premature: set[Delivery]
    """Deliveries that were handed off although the payload had a permanent storage fault."""
    failed_again: int
    """Messages that fail again after the faults have ended."""
    missed_kills: int
    """Planned kills that did not happen."""


@dataclass
class CampaignResult:
    """The outcomes of all runs, and the state at the end."""

    outcomes: list[CampaignOutcome] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    digests: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """SHA-256 of the stored payloads, by bucket and key."""
    outbox: list[str] = field(default_factory=list)
    """Keys of uploads that are still in the outbox."""
    uncounted: int = 0
    """Failures of functions without a metric."""
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Failures of functions with a metric, by function and error class."""


def unaccounted(
    expected: Iterable[Delivery], arrived: Iterable[Delivery], dead_letters: Iterable[DeadLetter]
) -> set[Delivery]:
    """Return the deliveries that neither arrived nor are dead letters of their function or a function before it."""
    dead = {(dead_letter.function, dead_letter.message_id) for dead_letter in dead_letters}
    return {
        (subscriber, message_id)
        for subscriber, message_id in set(expected) - set(arrived)
        if not dead.intersection((function, message_id) for function in _functions_to(subscriber))
    }


def _functions_to(subscriber: str) -> tuple[str, ...]:
    return ("publish", "orders", "copy") if subscriber == "copy" else ("publish", subscriber)


class Campaign:
    """Runs in one environment, whose functions use AWS through the proxy. progress: called after each run."""

    def __init__(
        self,
        environment: Environment,
        functions: Functions,
        proxy: Proxy,
        *,
        seed: int,
        progress: Callable[[CampaignOutcome], None],
    ) -> None:
        self._environment, self._functions, self._proxy = environment, functions, proxy
        self._seed, self._progress = seed, progress
        self._arrivals = Arrivals(environment.sources, read=environment.stored)
        self._storage_faults = StorageFaults(environment, seed=seed)
        self._result = CampaignResult()

    def kill_at_every_request(self, *, without: Collection[str] = ()) -> None:
        """Count the requests of each message flow, then repeat the flow for each request with a kill at it.

        without: flows to leave out.
        """
        counted = self.execute(every_flow(self._seed, without=without))
        self.execute(every_kill(counted.requests, self._seed))

    def finish(self) -> CampaignResult:
        """Read all arrivals and the outbox, and return the result."""
        result, environment = self._result, self._environment
        result.arrivals = self._arrivals.all()
        result.digests = self._arrivals.stored_digests(result.arrivals)
        listed = environment.s3.list_objects_v2(Bucket=environment.payloads, Prefix="outbox/")
        result.outbox = [entry["Key"] for entry in listed.get("Contents", [])]
        result.uncounted, result.errors = self._functions.uncounted, self._functions.errors
        return result

    def execute(self, run: Run) -> Invocations:
        """Execute a run."""
        self._proxy.inject(run.faults, run.rate)
        invocations = Invocations(self._functions, run, seed=self._seed)
        senders = Senders(self._environment, invocations)
        senders.send(run.messages)
        storage_faults = self._storage_faults.inject(run, senders.sent)
        Deliveries(self._environment, invocations, batch=run.batch).deliver()
        dead_letters = DeadLetters(self._environment, invocations).receive()
        injected = {**self._proxy.injected(), **invocations.disturbances, **Counter[str](storage_faults.values())}
        self._proxy.inject((), 0)

        rejected = {message.id for message in senders.rejected}
        expected = {(name, message_id) for message_id, sent in senders.sent.items() for name in subscribers_of(sent)}
        arrived = {(arrival.subscriber, arrival.message_id) for arrival in self._arrivals.all()}
        self._storage_faults.repair(storage_faults, senders.sent)
        outcome = CampaignOutcome(
            run=run,
            sent=senders.sent,
            expected=expected,
            injected=injected,
            rejected=len(rejected),
            dead_letters=dead_letters,
            unaccounted=unaccounted({each for each in expected if each[1] not in rejected}, arrived, dead_letters),
            premature={each for each in arrived if storage_faults.get(each[1]) in PERMANENT},
            failed_again=self._send_again(run, senders.rejected, dead_letters),
            missed_kills=len(run.kills) - invocations.disturbances["killed"] if run.kills else 0,
        )
        self._result.outcomes.append(outcome)
        self._progress(outcome)
        return invocations

    def _send_again(self, run: Run, rejected: Iterable[CampaignMessage], dead_letters: Iterable[DeadLetter]) -> int:
        """Send rejected messages and dead letters again without faults, and return how many fail again."""
        invocations = Invocations(self._functions, run.without_disturbances, seed=self._seed)
        senders, queues = Senders(self._environment, invocations), DeadLetters(self._environment, invocations)
        deliveries = Deliveries(self._environment, invocations, batch=run.batch)
        senders.send(rejected)
        queues.redrive(dead_letters, deliveries.attempt)
        deliveries.deliver()
        return len(queues.receive()) + len(senders.rejected)
