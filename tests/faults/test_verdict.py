"""Whatever does not hold is said."""

from dataclasses import replace

import pytest

from faults.arrivals import Arrival
from faults.campaign import Outcome, Result
from faults.deliveries import DeadLetter
from faults.lot import Lot
from faults.message import Message
from faults.site import SUBSCRIBERS
from faults.verdict import Verdict

MESSAGE = Message("lot", 0, "library", 10, seed=1)
ID = MESSAGE.id


def arrival(subscriber: str, **changes: str) -> Arrival:
    made = Arrival(subscriber, f"arn:{subscriber}", ID, MESSAGE.sha256, "bucket", "key")
    return replace(made, **changes)


OUTCOME = Outcome(
    lot=Lot(name="lot", messages=[MESSAGE]),
    sent={ID: MESSAGE},
    injected={"killed": 2},
    refused=0,
    dead_letters=[DeadLetter("orders", ID, "PayloadMissing", "", {})],
    unaccounted=set(),
    premature=set(),
    left=0,
    missed=0,
)


def result(*more: Arrival, without: str = "", outcome: Outcome = OUTCOME, **changes: object) -> Result:
    arrivals = [arrival(name) for name in SUBSCRIBERS if name != without]
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
