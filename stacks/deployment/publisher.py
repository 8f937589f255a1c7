"""The table `[publisher]` of the deployment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stacks.deployment.types import Account, NamedOnce, Region, Table

SNS_DEFAULT_MAXIMUM_BYTES = 262_144
SNS_LARGEST_MAXIMUM_BYTES = 1_048_576

DetailType = Annotated[str, Field(min_length=1, max_length=128)]


class OutboxConfig(Table):
    """`[publisher.outbox]`: limits of uploads."""

    maximum_bytes: int = Field(default=2 * 1024**3, ge=1024, le=5 * 1024**4)
    """The largest upload that is published; subscribers' functions have to be able to read it within their time."""


class PublisherConfig(Table):
    """`[publisher]`: the account that owns topic, payload bucket and event bus."""

    account: Account
    region: Region
    replicas: tuple[Region, ...] = Field(default=(), strict=False)
    """Regions into which S3 replicates payloads, for the subscribers there."""
    fifo: bool = False
    """A FIFO topic and FIFO queues: order kept within a message group."""
    maximum_message_bytes: int = Field(default=SNS_DEFAULT_MAXIMUM_BYTES, ge=1024, le=SNS_LARGEST_MAXIMUM_BYTES)
    """The threshold over which a payload is offloaded; the topic's maximum message size, when it is over SNS's own."""
    offload: Literal["over-threshold", "always", "never"] = "over-threshold"
    """Which payloads go to S3; with "never", one that does not fit into its message is refused."""
    outbox: OutboxConfig = OutboxConfig()
    detail_types: Annotated[tuple[DetailType, ...], NamedOnce] = Field(default=(), strict=False)
    """The detail-types of events that are published, and no other; every one, when there are none."""
    archive_days: int = Field(default=30, ge=1, le=3650)
    """With `detail_types`: how long every other event is kept to be replayed."""
    payload_lifetime_days: int = Field(default=101, ge=1, le=3650)
    """How long an offloaded payload is kept. A pointer that comes later finds nothing."""
    accept_expired_pointers: bool = False
    """Allow a payload lifetime shorter than the time a pointer can be late."""
