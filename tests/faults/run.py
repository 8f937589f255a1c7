"""A number of messages under the same faults."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Literal, get_args

from tests.faults.faults import FAULTS, Fault
from tests.faults.functions import Kill
from tests.faults.message import PART, THRESHOLD, Message, Route, messages

Spoiling = Literal["payload expired", "payload replaced", "replica lags", "replica is shorter", "replica differs"]
SPOILED: tuple[Spoiling, ...] = get_args(Spoiling)
_FIRST_CALLS = 6
_OFFLOADED, _IN_PARTS = 3 * THRESHOLD, PART + 1


@dataclass(frozen=True, kw_only=True)
class Lot:
    """messages: what is sent. faults, rate: what requests meet, and what part of them. spoiled: what becomes, between
    sending and delivering, of a `share` of the stored payloads. doubled, held_back, killed: what part of invocations is
    made twice at the same time, comes later, ends at one of its first requests. kills: the same by function and
    message. batch: the most messages that are received from a queue at a time."""

    name: str
    messages: Sequence[Message]
    faults: Sequence[Fault] = ()
    rate: float = 0.0
    spoiled: Sequence[Spoiling] = ()
    share: float = 0.5
    doubled: float = 0.0
    held_back: float = 0.0
    killed: float = 0.0
    kills: dict[tuple[str, str], Kill] = field(default_factory=dict)
    batch: int = 10

    @property
    def calm(self) -> Lot:
        """The same without anything that goes wrong by itself."""
        return replace(self, doubled=0.0, held_back=0.0, killed=0.0, kills={})


def lots(*, count: int, rate: float, seed: int) -> Iterable[Lot]:
    """`count` messages: a part of them under each fault alone, the most of them under all at once."""
    alone = max(1, count // 60)

    def lot(name: str, key: str, **what: object) -> Lot:
        return Lot(name=name, messages=list(messages(key, alone, seed)), rate=rate, **what)  # type: ignore[arg-type]

    apart = [
        lot(
            fault.name,
            f"f{number:02d}",
            faults=[fault],
            # A function calls SQS for nothing but a dead letter.
            spoiled=["payload expired"] if fault.services == {"sqs"} else (),
        )
        for number, fault in enumerate(FAULTS)
    ]
    apart += [
        *(lot(spoiling, f"s{number}", spoiled=[spoiling]) for number, spoiling in enumerate(SPOILED)),
        lot("delivered twice at once", "doubled", doubled=rate),
        lot("delivered out of order", "unordered", held_back=rate),
        lot("killed at any step", "killed", killed=rate),
    ]
    yield from apart
    yield everything(count - alone * len(apart), rate=rate, seed=seed)


def everything(count: int, *, rate: float, seed: int) -> Lot:
    """All faults at once: `rate` of all requests fail; of invocations and payloads a quarter of that."""
    return Lot(
        name="all at once",
        messages=list(messages("all", count, seed)),
        faults=FAULTS,
        rate=rate,
        spoiled=SPOILED,
        share=0.2,
        doubled=rate / 4,
        held_back=rate / 4,
        killed=rate / 4,
    )


# --- killed at every step ---------------------------------------------------------------------------------------------

_CASES: dict[str, list[tuple[Route, int]]] = {
    "event": [("event", 200)],
    "event-offloaded": [("event", _OFFLOADED)],
    "library": [("library", 200)],
    "library-offloaded": [("library", _OFFLOADED)],
    "library-in-parts": [("library", _IN_PARTS)],
    "batch": [("batch", 200), ("batch", _OFFLOADED), ("batch", 300)],
    "outbox": [("outbox", _OFFLOADED)],
    "fifo": [("fifo", 200), ("fifo", _OFFLOADED)],
}

_SENDING = ("application", "publish")
_RECEIVED = ("library", "library-offloaded", "library-in-parts", "fifo")
"""To a subscriber a message came inline, or it did not, or large, or in its group; whoever sent it."""


def every_case(seed: int, *, without: Collection[str] = ()) -> Lot:
    """One message of every way through the functions, with no fault: their requests are counted. without: ways to leave
    out, for the time that they take."""
    cases = [case for case in _CASES if case not in without]
    sent = [message for case in cases for message in _case(f"step-{case}", case, seed)]
    return Lot(name="steps counted", messages=sent, batch=1)


def every_step(calls: dict[tuple[str, str], int], seed: int) -> Lot:
    """The same ways, once for each request that a function makes on it, before it and after: there it is killed.

    calls: how many requests each function made for each message of `every_case`. On one way those who send are killed,
    or those who receive: what comes twice would meet the others' kills in any order.
    """
    sent: list[Message] = []
    kills: dict[tuple[str, str], Kill] = {}
    for case in _CASES:
        for row, struck in enumerate(_rows(calls, case)):
            copies = _case(f"kill-{row}-{case}", case, seed)
            sent += copies
            kills |= {(function, copies[number].id): kill for function, number, kill in struck}
    return Lot(name="killed at every step", messages=sent, kills=kills, batch=1)


def _rows(calls: dict[tuple[str, str], int], case: str) -> Iterable[list[tuple[str, int, Kill]]]:
    """Who is killed, where, with which of the case's messages: for each time that the case is sent."""
    sending: list[list[tuple[str, int, Kill]]] = []
    receiving: list[list[tuple[str, int, Kill]]] = []
    for (function, id_), made in sorted(calls.items()):
        of, _, number = id_.removeprefix("step-").rpartition("-")
        if of != case:
            continue
        moments = ((call, moment) for call in range(1, made + 1) for moment in ("before", "after"))
        column = [(function, int(number), kill) for kill in moments]
        (sending if function in _SENDING else receiving).append(column)
    for columns in (sending, receiving if case in _RECEIVED else ()):
        yield from ([cell for cell in row if cell] for row in zip_longest(*columns))


def _case(lot: str, case: str, seed: int) -> list[Message]:
    return [Message(lot, number, route, size, seed) for number, (route, size) in enumerate(_CASES[case])]


class Chance:
    """The dice of a lot: the same for the same question, whoever asks first."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def strikes(self, probability: float, *what: object) -> bool:
        return self._dice(*what).random() < probability

    def kill(self, *what: object) -> Kill:
        dice = self._dice(*what)
        return dice.randint(1, _FIRST_CALLS), dice.choice(["before", "after"])

    def _dice(self, *what: object) -> random.Random:
        return random.Random(f"{self._seed} {what}")
