"""What a message costs, with examples that were calculated by hand (docs/cost.md), and its limits."""

from pathlib import Path
from typing import Any

import pytest

from cli.cost import Route
from cli.cost.limits import limits
from cli.cost.prices import load
from cli.cost.storage import storage
from cli.cost.traffic import GIB, KIB, MIB, Traffic
from stacks.deployment import Deployment, load_messaging

EXAMPLE = Path(__file__).parents[3] / "deployments" / "example.toml"
PRICES = load()


def traffic(size: int, route: Route, *, reads: float = 1, **publisher: Any) -> Traffic:
    example = load_messaging(EXAMPLE).model_dump()
    deployment = Deployment.model_validate({**example, "publisher": {**example["publisher"], **publisher}})
    return Traffic(deployment=deployment, size=size, route=route, assumed=PRICES.assumed, reads=reads)


def million(kind: Traffic) -> dict[str, float]:
    """Return the USD of a million messages, by hop."""
    sums: dict[str, float] = {}
    for hop, region, price, quantity, _ in kind.charges():
        sums[hop] = sums.get(hop, 0) + PRICES.usd(price, 1_000_000 * quantity, region)
    return sums


@pytest.mark.parametrize(
    ("kind", "usd"),
    [
        pytest.param(traffic(KIB, "bus"), {"publisher": 5.12, "orders": 36.34, "billing": 422.34}, id="1 KiB event"),
        pytest.param(traffic(300 * KIB, "bus"), {"publisher": 37.78, "orders": 37.78, "billing": 418.07}, id="300 KiB"),
        pytest.param(
            traffic(GIB, "outbox"), {"publisher": 82_678.31, "orders": 21_506.47, "billing": 418.07}, id="1 GiB upload"
        ),
    ],
)
def test_million_messages_cost_as_calculated_by_hand(kind: Traffic, usd: dict[str, float]) -> None:
    assert million(kind) == {hop: pytest.approx(amount, abs=0.01) for hop, amount in usd.items()}


def test_replica_saves_transfers_and_adds_storage() -> None:
    far, near = (
        million(traffic(GIB, "outbox", reads=6)),
        million(traffic(GIB, "outbox", reads=6, replicas=["us-west-2"])),
    )
    assert far["orders"] - near["orders"] == pytest.approx(6 * 21_474.84, abs=0.1)
    assert sum(near.values()) < sum(far.values())


def test_archive_costs_less_from_a_megabyte_on() -> None:
    """One day in Standard, 100 in Glacier, and a transition, by hand: 14,952 USD in place of 82,004."""
    kept, archived = (million(traffic(GIB, "outbox", **key)) for key in ({}, {"glacier_after_days": 1}))
    assert kept["publisher"] - archived["publisher"] == pytest.approx(67_052.1, abs=0.1)
    small = traffic(300 * KIB, "bus", glacier_after_days=1)
    assert million(small) == million(traffic(300 * KIB, "bus"))


def test_large_event_is_refused() -> None:
    with pytest.raises(ValueError, match="use the outbox"):
        list(traffic(MIB, "bus").charges())


def test_payload_of_0_3_mb_pays_in_glacier() -> None:
    """One GB for 101 days, by hand: 0.0764 in Standard; 0.0008 + 100 days at 0.004 = 0.0139 in Glacier."""
    stored = storage(days=101, standard_days=1, region="us-east-1", prices=PRICES)
    assert stored.standard == pytest.approx(0.0764, abs=1e-4)
    assert stored.glacier_ir == pytest.approx(0.0139, abs=1e-4)
    assert stored.pays_from_bytes == pytest.approx(0.00002 / 0.0625 * 1e9, rel=0.01)


def test_short_lifetime_never_pays_in_glacier() -> None:
    """S3 bills 90 days there: more than 14 days in Standard."""
    assert storage(days=14, standard_days=1, region="us-east-1", prices=PRICES).pays_from_bytes is None


def test_lowest_limit_comes_first() -> None:
    """Half a vCPU for a minute: a new account's 6 vCPU run 0.2 tasks each second."""
    found = limits(traffic(300 * KIB, "bus"))
    rates = [limit.messages_per_second for limit in found]
    assert rates == sorted(rates)
    assert (found[0].hop, found[0].name) == ("billing", "Fargate vCPU")
    assert rates[0] == pytest.approx(0.2)
    assert {limit.name: limit.messages_per_second for limit in found if limit.hop == "orders"} == {
        "maximum_concurrency = 10": 50,
        "Step Functions StartExecution": 300,
    }
