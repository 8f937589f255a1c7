"""The price table: a price for each billed quantity, Region by Region."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PRICES = Path(__file__).with_name("prices.toml")
BASE_REGION = "us-east-1"

Amount = Annotated[float, Field(ge=0)]


class PriceTableError(ValueError):
    """A price table cannot be used. The message names the file, the key and the value."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Price(_Table):
    """`usd` for `per` units of `of`."""

    usd: Amount
    per: Annotated[float, Field(gt=0)]
    of: str


class Assumed(_Table):
    """Durations and sizes that depend on the user's code and on AWS."""

    publish_seconds: Amount
    consume_seconds: Amount
    copy_seconds: Amount
    """For each GiB that S3 copies while a function waits."""
    task_seconds: Amount
    log_bytes: Amount


class Prices(_Table):
    """The content of a price table."""

    date: datetime.date
    source: str
    prices: dict[str, Price]
    """Prices of `BASE_REGION`, by the name of the billed quantity."""
    regions: dict[str, dict[str, Amount]]
    """USD of prices that differ, by Region."""
    assumed: Assumed

    def usd(self, name: str, quantity: float, region: str) -> float:
        """Return the price of a quantity in a Region. A Region without its own price has that of `BASE_REGION`."""
        price = self.prices[name]
        return self.regions.get(region, {}).get(name, price.usd) * quantity / price.per

    def unpriced(self, regions: Iterable[str]) -> list[str]:
        """Return the Regions that are not in the table."""
        return sorted({*regions} - {BASE_REGION, *self.regions})


def unpriced_text(regions: Iterable[str]) -> str:
    """Return a sentence about Regions that are not in the table."""
    return f"Without own prices, so with those of {BASE_REGION}: {', '.join(regions)}."


def load(file: Path = PRICES) -> Prices:
    """Return a price table.

    Raises:
        PriceTableError: The file cannot be read, or a key is missing, unknown or has an invalid value.
    """
    try:
        table = Prices.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PriceTableError(f"{file}: cannot be read as TOML: {error}") from None
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors())
        raise PriceTableError(f"{file}: " + "; ".join(problems)) from None
    _check_names(file, table)
    return table


def _check_names(file: Path, table: Prices) -> None:
    expected = set(table.prices) if file == PRICES else set(load().prices)
    unknown = [f"prices.{name}" for name in table.prices if name not in expected]
    unknown += [
        f"regions.{region}.{name}" for region, own in table.regions.items() for name in own if name not in expected
    ]
    missing = [f"prices.{name}" for name in sorted(expected - set(table.prices))]
    if unknown or missing:
        problems = [f"{key}: no such price. Remove it." for key in unknown]
        problems += [f"{key}: is missing. Copy it from {PRICES.name} of coatcheck." for key in missing]
        raise PriceTableError(f"{file}: " + " ".join(problems))
