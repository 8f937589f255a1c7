"""The storage of one payload over its lifetime, and whether a colder storage class is cheaper."""

from __future__ import annotations

from typing import NamedTuple

from cli.cost.prices import Prices
from cli.cost.traffic import GB, GLACIER_IR_DAYS, MONTH_DAYS


class Storage(NamedTuple):
    """USD for one GB of payloads over their lifetime, and where Glacier Instant Retrieval begins to pay."""

    standard: float
    glacier_ir: float
    """After the first days in Standard, without transitions."""
    pays_from_bytes: float | None
    """Size of a payload over which the saving exceeds the transition. None if it never does."""


def storage(*, days: int, standard_days: int, region: str, prices: Prices) -> Storage:
    """Compare a lifetime in Standard with some days in Standard and the rest in Glacier Instant Retrieval.

    Reads after the transition, which S3 bills by the GB, are not counted.
    """

    def month(name: str, time: float) -> float:
        return prices.usd(name, time / MONTH_DAYS, region)

    standard = month("s3_standard_gb_month", days)
    cold = max(days - standard_days, GLACIER_IR_DAYS)
    glacier_ir = month("s3_standard_gb_month", standard_days) + month("s3_glacier_ir_gb_month", cold)
    saving = standard - glacier_ir
    transition = prices.usd("s3_glacier_ir_transition", 1, region)
    return Storage(standard, glacier_ir, transition / saving * GB if saving > 0 else None)
