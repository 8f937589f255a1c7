"""A small campaign: killed at every step, and everything at once; and what it says of functions that are careless."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.campaign import Campaign
from tests.faults.conftest import SEED
from tests.faults.environment import SUBSCRIBERS, Site
from tests.faults.faults import FAULTS
from tests.faults.functions import MODULES, Functions
from tests.faults.message import THRESHOLD, Message
from tests.faults.proxy import Proxy
from tests.faults.run import Lot, everything
from tests.faults.verdict import Verdict

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def verdict(site: Site, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdict]:
    folder = tmp_path_factory.mktemp("logs")
    with Functions(site, endpoint=proxy.endpoint, folder=folder, processes=1) as functions:
        campaign = Campaign(site, functions, proxy, seed=SEED, progress=lambda _: None)
        campaign.kill_at_every_step(without=["library-in-parts", "batch", "library", "event"])
        campaign.run([everything(12, rate=0.2, seed=SEED)])
        yield Verdict(campaign.finish())


def test_everything_sent_is_handed_on_once_and_whole(verdict: Verdict) -> None:
    assert verdict.broken == []
    assert verdict.total.handed_on == verdict.total.sent
    assert {row.name for row in verdict.subscribers} == set(SUBSCRIBERS)


def test_every_function_was_killed_at_every_step(verdict: Verdict) -> None:
    (lot,) = [outcome for outcome in verdict.result.outcomes if outcome.lot.kills]
    assert lot.injected["killed"] == len(lot.lot.kills)
    kills = Counter(function for function, _ in lot.lot.kills)
    assert set(kills) == set(MODULES)
    # put, publish; and for an upload head, copy, publish, delete: before and after each.
    assert kills["publish"] == 2 * (2 + 4)
    assert kills["landing"] == 2 * 2  # head, copy
    assert kills["partner"] == 2 * 1  # get
    assert kills["ledger"] == 2 * (2 + 2)  # put into the inbox or get, start


def test_faults_were_met(verdict: Verdict) -> None:
    (lot,) = [outcome for outcome in verdict.result.outcomes if outcome.lot.faults]
    assert sum(lot.injected.values()) > 20
    assert len(lot.injected) > 8
    assert lot.dead_letters


CARELESS = {
    "application": MODULES["application"],
    **{
        function: f"tests.faults.broken_handlers.{module}"
        for function, module in {
            "orders": "reader",
            "landing": "lander",
            "billing": "billing",
            "partner": "endpoint",
            "ledger": "ledger",
        }.items()
    },
}


@pytest.fixture(scope="module")
def careless(site: Site, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """What is said of functions of which each has one fault; by payloads that have expired, replicas that differ,
    messages that come twice, and records that fail."""
    messages = [Message("careless", number, "library", 3 * THRESHOLD, SEED) for number in range(2)]
    in_order = [Message("unordered", number, "fifo", 100, SEED) for number in range(8)]
    failing = [fault for fault in FAULTS if fault.services == {"states"}]
    folder = tmp_path_factory.mktemp("logs")
    with Functions(site, endpoint=proxy.endpoint, folder=folder, processes=1, modules=CARELESS) as functions:
        campaign = Campaign(site, functions, proxy, seed=SEED, progress=lambda _: None)
        campaign.run(
            [
                Lot(
                    name="careless",
                    messages=messages,
                    spoiled=["payload expired", "replica differs"],
                    share=1.0,
                    doubled=1.0,
                ),
                Lot(name="unordered", messages=in_order, faults=failing, rate=0.8),
            ]
        )
        return Verdict(campaign.finish())


def test_functions_that_are_careless_are_found_out_each_for_its_own_fault(careless: Verdict) -> None:
    kinds = ("lost", "corrupt", "doubled", "overtaken")
    found = {(row.name, kind) for row in careless.subscribers for kind in kinds if getattr(row, kind)}
    assert found == {
        ("orders", "corrupt"),
        ("landing", "corrupt"),
        ("billing", "doubled"),
        ("partner", "lost"),
        ("ledger", "overtaken"),
    }
    assert not careless.ok
