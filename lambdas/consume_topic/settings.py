"""Settings of the consume function of a subscriber without a queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claim_check import Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EnvironmentSettings):
    """Stores, the ECS task, and the idempotency table."""

    trusted_stores: tuple[Store, ...]
    staging_store: Store
    cluster_arn: str
    task_definition_arn: str
    container: str
    """Name of the container that gets the hand-off in its environment."""
    network: Mapping[str, Any]
    """The `awsvpcConfiguration` of `ecs:RunTask`."""
    idempotency_table: str
    idempotency_seconds: int
    """Time until a record expires."""
