"""Tables of the deployment file about the application behind a subscriber: what happens to a payload that was read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stacks.deployment.types import Table


class LandingConfig(Table):
    """`[subscribers.landing]`: S3 copies each payload into a bucket of the subscriber's own."""

    days: int = Field(default=30, ge=1, le=3650)
    """How long a landed payload is kept."""


class FanOutConfig(Table):
    """`[subscribers.fan_out]`: a landed payload's items, each an execution of its own."""

    format: Literal["jsonl", "csv"]
    """What a payload is: a JSON value a line, or CSV whose first line names the columns."""
    maximum_concurrency: int = Field(default=10, ge=1, le=10_000)
    """How many items are processed at the same time."""
    tolerated_failure_percentage: int = Field(default=0, ge=0, le=100)
    """How many of a payload's items may fail before the whole of it does."""
