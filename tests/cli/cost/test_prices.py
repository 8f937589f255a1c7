"""The price table: complete, and clear about what is wrong with a user's own."""

from pathlib import Path

import pytest

from cli.cost.fixed import _BILLED
from cli.cost.prices import BASE_REGION, PRICES, PriceTableError, load


def test_price_depends_on_the_region() -> None:
    prices = load()
    assert prices.usd("s3_standard_gb_month", 10, BASE_REGION) == pytest.approx(0.23)
    assert prices.usd("s3_standard_gb_month", 10, "eu-central-1") == pytest.approx(0.245)
    assert prices.usd("s3_standard_gb_month", 10, "sa-east-1") == pytest.approx(0.23)
    assert prices.unpriced(["sa-east-1", BASE_REGION, "eu-central-1"]) == ["sa-east-1"]


def test_every_billed_resource_has_a_price() -> None:
    assert {price for price, _ in _BILLED.values()} <= set(load().prices)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("usd = 0.20,", "usd = -1,", "prices.function_request.usd = -1"),
        ("sqs_request =", "sqs_requests =", "prices.sqs_requests: no such price"),
        ("sqs_request =", "sqs_requests =", "prices.sqs_request: is missing"),
        ("nat_gateway_hour = 0.048", "nat_hour = 0.048", "regions.eu-west-1.nat_hour: no such price"),
        ("task_seconds = 60.0", "", "assumed.task_seconds"),
        ("[assumed]", "[assumed", "cannot be read as TOML"),
    ],
)
def test_invalid_table_names_file_key_and_value(tmp_path: Path, old: str, new: str, problem: str) -> None:
    file = tmp_path / "prices.toml"
    text = PRICES.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(PriceTableError) as error:
        load(file)
    assert str(file) in str(error.value)
    assert problem in str(error.value)
