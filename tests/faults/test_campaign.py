"""A small campaign: killed at every step, and everything at once; and what it says of functions that are careless."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.campaign import Campaign
from faults.functions import MODULES, Functions
from faults.lot import Lot, everything
from faults.message import Message
from faults.proxy import Proxy
from faults.site import Site
from faults.verdict import Verdict
from tests.faults.conftest import SEED

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def verdict(site: Site, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verdict]:
    folder = tmp_path_factory.mktemp("logs")
    with Functions(site, endpoint=proxy.endpoint, folder=folder, processes=1) as functions:
        campaign = Campaign(site, functions, proxy, seed=SEED, progress=lambda _: None)
        campaign.kill_at_every_step(without=["library-in-parts", "batch"])
        campaign.run([everything(16, rate=0.2, seed=SEED)])
        yield Verdict(campaign.finish())


def test_everything_sent_is_handed_on_once_and_whole(verdict: Verdict) -> None:
    assert verdict.broken == []
    assert verdict.total.handed_on == verdict.total.sent


def test_every_function_was_killed_at_every_step(verdict: Verdict) -> None:
    (lot,) = [outcome for outcome in verdict.result.outcomes if outcome.lot.kills]
    assert lot.injected["killed"] == len(lot.lot.kills)
    # put, publish; and for an upload head, copy, publish, delete: before and after each.
    assert len([kill for kill in lot.lot.kills if kill[0] == "publish"]) == 2 * (1 + 2 + 4)
    assert {function for function, _ in lot.lot.kills} == set(MODULES)


def test_faults_were_met(verdict: Verdict) -> None:
    (lot,) = [outcome for outcome in verdict.result.outcomes if outcome.lot.faults]
    assert sum(lot.injected.values()) > 20
    assert len(lot.injected) > 8
    assert lot.dead_letters


def test_a_function_that_is_not_idempotent_is_found_out(site: Site, proxy: Proxy, tmp_path: Path) -> None:
    modules = {name: MODULES[name] for name in ("application", "orders")} | {"billing": "tests.faults.careless"}
    twice = Lot(name="twice", messages=[Message("twice", 0, "library", 100, SEED)], doubled=1.0)
    with Functions(site, endpoint=proxy.endpoint, folder=tmp_path, processes=1, modules=modules) as functions:
        campaign = Campaign(site, functions, proxy, seed=SEED, progress=lambda _: None)
        campaign.run([twice])
        verdict = Verdict(campaign.finish())
    assert verdict.rows[0].doubled == 1
    assert not verdict.ok
