"""A small campaign: kills at every request, all faults at once, and functions with defects."""

from collections import Counter

import pytest

from tests.faults.campaign import Campaign
from tests.faults.conftest import SEED
from tests.faults.environment import SUBSCRIBERS, Environment
from tests.faults.faults import FAULTS
from tests.faults.functions import MODULES, Functions
from tests.faults.message import THRESHOLD, CampaignMessage
from tests.faults.proxy import Proxy
from tests.faults.run import Run, StorageFault, all_faults
from tests.faults.verdict import Verdict

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def verdict(environment: Environment, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    folder = tmp_path_factory.mktemp("logs")
    with Functions(environment, endpoint=proxy.endpoint, folder=folder, processes=1) as functions:
        campaign = Campaign(environment, functions, proxy, seed=SEED, progress=lambda _: None)
        campaign.kill_at_every_request(without=["library-in-parts", "batch", "library", "event"])
        campaign.execute(all_faults(12, rate=0.2, seed=SEED))
        return Verdict(campaign.finish())


def test_every_message_arrives_once_and_unchanged(verdict: Verdict) -> None:
    assert verdict.violations == []
    assert verdict.total.handed_off == verdict.total.sent
    assert {row.name for row in verdict.subscribers} == set(SUBSCRIBERS)


def test_functions_are_killed_at_every_request(verdict: Verdict) -> None:
    (outcome,) = [outcome for outcome in verdict.result.outcomes if outcome.run.kills]
    assert outcome.injected["killed"] == len(outcome.run.kills)
    kills = Counter(function for function, _ in outcome.run.kills)
    assert set(kills) == set(MODULES)
    # An event: put, publish. An upload: head, copy, publish, delete. Before and after each request.
    assert kills["publish"] == 2 * (2 + 4)
    assert kills["copy"] == 2 * 2  # head, copy
    assert kills["partner"] == 2 * 1  # get
    assert kills["ledger"] == 2 * (2 + 2)  # put into the staging bucket or get; start


def test_faults_are_injected(verdict: Verdict) -> None:
    (outcome,) = [outcome for outcome in verdict.result.outcomes if outcome.run.faults]
    assert sum(outcome.injected.values()) > 20
    assert len(outcome.injected) > 8
    assert outcome.dead_letters


DEFECTS = {
    "orders": "prove_nothing",
    "copy": "copy_half",
    "billing": "consume_topic_twice",
    "partner": "confirm_unread",
    "ledger": "ignore_group_order",
}


@pytest.fixture(scope="module")
def broken(environment: Environment, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """The verdict on functions with one defect each, under the faults that reveal the defects."""
    modules = {function: f"tests.faults.broken_handlers.{module}" for function, module in DEFECTS.items()}
    modules["application"] = MODULES["application"]
    offloaded = [CampaignMessage("offloaded", number, "library", 3 * THRESHOLD, SEED) for number in range(2)]
    group = [CampaignMessage("group", number, "fifo", 100, SEED) for number in range(8)]
    failing = [fault for fault in FAULTS if fault.services == {"states"}]
    folder = tmp_path_factory.mktemp("logs")
    with Functions(environment, endpoint=proxy.endpoint, folder=folder, processes=1, modules=modules) as functions:
        campaign = Campaign(environment, functions, proxy, seed=SEED, progress=lambda _: None)
        stored: list[StorageFault] = ["payload expired", "payload replaced"]
        campaign.execute(
            Run(name="offloaded", messages=offloaded, storage_faults=stored, storage_fault_share=1.0, duplicated=1.0)
        )
        campaign.execute(Run(name="group", messages=group, faults=failing, rate=0.8))
        return Verdict(campaign.finish())


def test_campaign_detects_each_broken_handler(broken: Verdict) -> None:
    kinds = ("lost", "corrupt", "duplicated", "out_of_order")
    found = {(row.name, kind) for row in broken.subscribers for kind in kinds if getattr(row, kind)}
    assert found == {
        ("orders", "corrupt"),
        ("copy", "corrupt"),
        ("billing", "duplicated"),
        ("partner", "lost"),
        ("ledger", "out_of_order"),
    }
    assert not broken.ok
