"""A run: a number of messages under the same faults."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Literal, get_args

from tests.faults.faults import FAULTS, Fault
from tests.faults.functions import Kill
from tests.faults.message import PART, THRESHOLD, CampaignMessage, Route, messages

StorageFault = Literal[
    "payload expired", "payload replaced", "payload truncated", "replica lags", "replica is shorter", "replica differs"
]
STORAGE_FAULTS: tuple[StorageFault, ...] = get_args(StorageFault)
_OFFLOADED, _IN_PARTS = 3 * THRESHOLD, PART + 1


@dataclass(frozen=True, kw_only=True)
class Run:
    """Messages and the faults that they meet. Shares and probabilities are from 0 to 1."""

    name: str
    messages: Sequence[CampaignMessage]
    faults: Sequence[Fault] = ()
    rate: float = 0.0
    """Share of the requests that fail."""
    storage_faults: Sequence[StorageFault] = ()
    """Faults of stored payloads between sending and delivery."""
    storage_fault_share: float = 0.5
    """Share of the stored payloads with a storage fault."""
    duplicated: float = 0.0
    """Probability that an invocation is made twice at the same time."""
    delayed: float = 0.0
    """Probability that a received batch is delivered later."""
    killed: float = 0.0
    """Probability that an invocation is killed at one of its first requests."""
    kills: dict[tuple[str, str], Kill] = field(default_factory=dict)
    """Planned kills, by function and message id."""
    batch: int = 10
    """Maximum number of messages that are received from a queue at a time."""

    @property
    def without_disturbances(self) -> Run:
        """The same run without duplicates, delays and kills."""
        return replace(self, duplicated=0.0, delayed=0.0, killed=0.0, kills={})


def plan_runs(*, count: int, rate: float, seed: int) -> Iterable[Run]:
    """Yield runs of `count` messages in total: a few under each single fault, most of them under all faults."""
    single = max(1, count // 60)

    def run(name: str, key: str, **settings: object) -> Run:
        return Run(name=name, messages=list(messages(key, single, seed)), rate=rate, **settings)  # type: ignore[arg-type]

    runs = [
        run(
            fault.name,
            f"f{number:02d}",
            faults=[fault],
            # Functions send to SQS only dead letters.
            storage_faults=["payload expired"] if fault.services == {"sqs"} else (),
        )
        for number, fault in enumerate(FAULTS)
    ]
    runs += [
        *(run(fault, f"s{number}", storage_faults=[fault]) for number, fault in enumerate(STORAGE_FAULTS)),
        run("delivered twice at once", "duplicated", duplicated=rate),
        run("delivered out of order", "unordered", delayed=rate),
        run("killed at any request", "killed", killed=rate),
    ]
    yield from runs
    yield all_faults(count - single * len(runs), rate=rate, seed=seed)


def all_faults(count: int, *, rate: float, seed: int) -> Run:
    """Return a run under all faults: `rate` of the requests, and a quarter of that of the invocations."""
    return Run(
        name="all faults",
        messages=list(messages("all", count, seed)),
        faults=FAULTS,
        rate=rate,
        storage_faults=STORAGE_FAULTS,
        storage_fault_share=0.2,
        duplicated=rate / 4,
        delayed=rate / 4,
        killed=rate / 4,
    )


# --- killed at every request ------------------------------------------------------------------------------------------

_FLOWS: dict[str, list[tuple[Route, int]]] = {
    "event": [("event", 200)],
    "event-offloaded": [("event", _OFFLOADED)],
    "library": [("library", 200)],
    "library-offloaded": [("library", _OFFLOADED)],
    "library-in-parts": [("library", _IN_PARTS)],
    "batch": [("batch", 200), ("batch", _OFFLOADED), ("batch", 300)],
    "outbox": [("outbox", _OFFLOADED)],
    "fifo": [("fifo", 200), ("fifo", _OFFLOADED)],
}

_SENDING_FUNCTIONS = ("application", "publish")
_RECEIVING_FLOWS = ("library", "library-offloaded", "library-in-parts", "fifo")
"""The flows that differ for subscribers. For them, a message is inline, offloaded, large, or in a group."""


def every_flow(seed: int, *, without: Collection[str] = ()) -> Run:
    """Return a run without faults, with each message flow once, to count the functions' requests.

    without: flows to leave out, to save time.
    """
    flows = [flow for flow in _FLOWS if flow not in without]
    sent = [message for flow in flows for message in _flow(f"step-{flow}", flow, seed)]
    return Run(name="requests counted", messages=sent, batch=1)


def every_kill(requests: dict[tuple[str, str], int], seed: int) -> Run:
    """Return a run with each flow once for each request of a function, before and after which the function is killed.

    In one flow only sending or only receiving functions are killed. Otherwise a retry of the sender would add
    deliveries, and the kills of the receivers would be in any order.

    requests: the number of requests of each function for each message of `every_flow`.
    """
    sent: list[CampaignMessage] = []
    kills: dict[tuple[str, str], Kill] = {}
    for flow in _FLOWS:
        for number, planned in enumerate(_plan_kills(requests, flow)):
            copies = _flow(f"kill-{number}-{flow}", flow, seed)
            sent += copies
            kills |= {(function, copies[position].id): kill for function, position, kill in planned}
    return Run(name="killed at every request", messages=sent, kills=kills, batch=1)


def _plan_kills(requests: dict[tuple[str, str], int], flow: str) -> Iterable[list[tuple[str, int, Kill]]]:
    """Yield the kills of each repetition of a flow: function, position of the message in the flow, and request."""
    sending: list[list[tuple[str, int, Kill]]] = []
    receiving: list[list[tuple[str, int, Kill]]] = []
    for (function, message_id), count in sorted(requests.items()):
        name, _, position = message_id.removeprefix("step-").rpartition("-")
        if name != flow:
            continue
        kills = ((request, moment) for request in range(1, count + 1) for moment in ("before", "after"))
        column = [(function, int(position), kill) for kill in kills]
        (sending if function in _SENDING_FUNCTIONS else receiving).append(column)
    for columns in (sending, receiving if flow in _RECEIVING_FLOWS else ()):
        yield from ([kill for kill in row if kill] for row in zip_longest(*columns))


def _flow(run: str, flow: str, seed: int) -> list[CampaignMessage]:
    return [CampaignMessage(run, number, route, size, seed) for number, (route, size) in enumerate(_FLOWS[flow])]
