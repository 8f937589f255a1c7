"""The verdict reports each violation of the invariants."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.arrivals import Arrival
from tests.faults.campaign import CampaignOutcome, CampaignResult
from tests.faults.dead_letters import DeadLetter
from tests.faults.environment import STANDARD
from tests.faults.message import CampaignMessage
from tests.faults.run import Run
from tests.faults.verdict import Verdict

MESSAGE = CampaignMessage("run", 0, "library", 10, seed=1)
ID = MESSAGE.id


def _arrival(subscriber: str, **changes: Any) -> Arrival:
    return replace(Arrival(subscriber, f"arn:{subscriber}", ID, MESSAGE.sha256, "bucket", "key"), **changes)


OUTCOME = CampaignOutcome(
    run=Run(name="run", messages=[MESSAGE]),
    sent={ID: MESSAGE},
    expected={(subscriber, ID) for subscriber in STANDARD},
    injected={"killed": 2},
    rejected=0,
    dead_letters=[DeadLetter("orders", ID, "PayloadMissing", "", {})],
    unaccounted=set(),
    premature=set(),
    failed_again=0,
    missed_kills=0,
)


def _result(*more: Arrival, without: str = "", outcome: CampaignOutcome = OUTCOME, **changes: object) -> CampaignResult:
    arrivals = [_arrival(name) for name in STANDARD if name != without]
    digests = {("bucket", "key"): MESSAGE.sha256, ("bucket", "replaced"): "0" * 64}
    return CampaignResult([outcome], [*arrivals, *more], digests, **changes)  # type: ignore[arg-type]


def test_complete_delivery_has_no_violation() -> None:
    verdict = Verdict(_result())
    assert verdict.ok
    assert verdict.total.handed_off == verdict.total.sent == 1
    assert (verdict.total.injected, verdict.total.dead_lettered) == (2, 1)


@pytest.mark.parametrize(
    ("result", "violation"),
    [
        (_result(without="billing"), "1 deliveries were lost"),
        (_result(_arrival("orders", arn="arn:again")), "1 deliveries were duplicated"),
        (_result(_arrival("billing", sha256="0" * 64), without="billing"), "1 deliveries were corrupt"),
        (_result(_arrival("billing", key="replaced"), without="billing"), "1 deliveries were corrupt"),
        (_result(_arrival("orders", arn="arn:unknown", message_id="unknown")), "1 deliveries were corrupt"),
        (_result(outcome=replace(OUTCOME, premature={("orders", ID)})), "1 deliveries were corrupt"),
        (_result(outcome=replace(OUTCOME, unaccounted={("orders", ID)})), "1 deliveries were neither"),
        (_result(outcome=replace(OUTCOME, failed_again=1)), "1 messages failed after"),
        (_result(outcome=replace(OUTCOME, missed_kills=1)), "1 planned kills"),
        (_result(outbox=["outbox/x"]), "1 uploads are still"),
        (_result(uncounted=1), "1 failures of functions"),
    ],
)
def test_violation_is_reported(result: CampaignResult, violation: str) -> None:
    verdict = Verdict(result)
    assert not verdict.ok
    assert [each for each in verdict.violations if each.startswith(violation)], verdict.violations


def test_campaign_without_messages_is_not_ok() -> None:
    assert not Verdict(CampaignResult()).ok


GROUP = [CampaignMessage("group", number, "fifo", 10, seed=1) for number in range(3)]
GROUP_OUTCOME = replace(
    OUTCOME,
    run=Run(name="group", messages=GROUP),
    sent={message.id: message for message in GROUP},
    expected={("ledger", message.id) for message in GROUP},
    dead_letters=[],
)


def _verdict(*numbers: int, dead: Sequence[int] = ()) -> Verdict:
    """Return the verdict on a group whose messages arrive in this order."""
    arrivals = [
        Arrival(
            "ledger", f"arn:{number}", GROUP[number].id, GROUP[number].sha256, "bucket", str(number), float(position)
        )
        for position, number in enumerate(numbers)
    ]
    digests = {(arrival.bucket, arrival.key): arrival.sha256 or "" for arrival in arrivals}
    dead_letters = [DeadLetter("ledger", GROUP[number].id, "KeyError", "", {}) for number in dead]
    return Verdict(CampaignResult([replace(GROUP_OUTCOME, dead_letters=dead_letters)], arrivals, digests))


def test_group_out_of_order_is_reported() -> None:
    assert _verdict(0, 1, 2).ok
    assert _verdict(1, 2, 0).violations == ["1 deliveries were out of their group's order"]
    assert _verdict(2, 1, 0).total.out_of_order == 2


def test_redriven_dead_letter_may_be_out_of_order() -> None:
    assert _verdict(1, 2, 0, dead=[0]).ok
    assert _verdict(2, 1, 0, dead=[0]).total.out_of_order == 1


def test_subscribers_have_a_row_each() -> None:
    rows = {row.name: row for row in Verdict(_result(without="billing")).subscribers}
    assert {name: row.lost for name, row in rows.items()} == {"billing": 1, "copy": 0, "orders": 0, "partner": 0}
    assert rows["orders"].dead_lettered == 1
