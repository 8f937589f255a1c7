"""Whatever does not hold is said."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.arrivals import Arrival
from tests.faults.campaign import Outcome, Result
from tests.faults.dead_letters import DeadLetter
from tests.faults.environment import STANDARD
from tests.faults.message import Message
from tests.faults.run import Lot
from tests.faults.verdict import Verdict

MESSAGE = Message("lot", 0, "library", 10, seed=1)
ID = MESSAGE.id


def arrival(subscriber: str, **changes: Any) -> Arrival:
    made = Arrival(subscriber, f"arn:{subscriber}", ID, MESSAGE.sha256, "bucket", "key")
    return replace(made, **changes)


OUTCOME = Outcome(
    lot=Lot(name="lot", messages=[MESSAGE]),
    sent={ID: MESSAGE},
    expected={(subscriber, ID) for subscriber in STANDARD},
    injected={"killed": 2},
    refused=0,
    dead_letters=[DeadLetter("orders", ID, "PayloadMissing", "", {})],
    unaccounted=set(),
    premature=set(),
    left=0,
    missed=0,
)


def result(*more: Arrival, without: str = "", outcome: Outcome = OUTCOME, **changes: object) -> Result:
    arrivals = [arrival(name) for name in STANDARD if name != without]
    digests = {("bucket", "key"): MESSAGE.sha256, ("bucket", "spoiled"): "0" * 64}
    return Result([outcome], [*arrivals, *more], digests, **changes)  # type: ignore[arg-type]


def test_all_is_well() -> None:
    verdict = Verdict(result())
    assert verdict.ok
    assert verdict.total.handed_on == verdict.total.sent == 1
    assert (verdict.total.injected, verdict.total.dead_lettered) == (2, 1)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (result(without="billing"), "1 deliveries were lost"),
        (result(arrival("orders", arn="arn:again")), "1 were handed on twice"),
        (result(arrival("billing", sha256="0" * 64), without="billing"), "1 were handed on corrupt"),
        (result(arrival("billing", key="spoiled"), without="billing"), "1 were handed on corrupt"),
        (result(arrival("orders", arn="arn:stray", message_id="nobody-sent-it")), "1 were handed on corrupt"),
        (result(outcome=replace(OUTCOME, premature={("orders", ID)})), "1 were handed on corrupt"),
        (result(outcome=replace(OUTCOME, unaccounted={("orders", ID)})), "1 were neither"),
        (result(outcome=replace(OUTCOME, left=1)), "1 failed although"),
        (result(outcome=replace(OUTCOME, missed=1)), "1 planned kills"),
        (result(outbox=["outbox/x"]), "1 uploads are still"),
        (result(unseen=1), "1 failures of functions"),
    ],
)
def test_whatever_does_not_hold_is_said(found: Result, sentence: str) -> None:
    verdict = Verdict(found)
    assert not verdict.ok
    assert [one for one in verdict.broken if one.startswith(sentence)], verdict.broken


def test_what_sent_nothing_has_shown_nothing() -> None:
    assert not Verdict(Result()).ok


ORDERED = [Message("ordered", number, "fifo", 10, seed=1) for number in range(3)]
IN_ORDER = replace(
    OUTCOME,
    lot=Lot(name="ordered", messages=ORDERED),
    sent={message.id: message for message in ORDERED},
    expected={("ledger", message.id) for message in ORDERED},
    dead_letters=[],
)


def handed_on(*numbers: int, letters: Sequence[int] = ()) -> Verdict:
    """One group, handed on in this order."""
    arrivals = [
        replace(arrival("ledger", arn=f"arn:{number}"), message_id=ORDERED[number].id, sha256="", started=float(place))
        for place, number in enumerate(numbers)
    ]
    arrivals = [replace(one, sha256=IN_ORDER.sent[one.message_id].sha256, key=one.message_id) for one in arrivals]
    digests = {(one.bucket, one.key): one.sha256 for one in arrivals}
    dead = [DeadLetter("ledger", ORDERED[number].id, "KeyError", "", {}) for number in letters]
    return Verdict(Result([replace(IN_ORDER, dead_letters=dead)], arrivals, digests))


def test_what_was_sent_in_order_comes_in_order() -> None:
    assert handed_on(0, 1, 2).ok
    assert handed_on(1, 2, 0).broken == ["1 were overtaken by a later one of their group"]
    assert handed_on(2, 1, 0).total.overtaken == 2


def test_a_dead_letter_comes_when_it_is_sent_back() -> None:
    assert handed_on(1, 2, 0, letters=[0]).ok
    assert handed_on(2, 1, 0, letters=[0]).total.overtaken == 1


def test_each_subscriber_has_a_row() -> None:
    rows = {row.name: row for row in Verdict(result(without="billing")).subscribers}
    assert {name: row.lost for name, row in rows.items()} == {"billing": 1, "landing": 0, "orders": 0, "partner": 0}
    assert rows["orders"].dead_lettered == 1
