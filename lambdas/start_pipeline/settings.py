"""Settings of the pipeline trigger."""

from dataclasses import dataclass

from claim_check import Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EnvironmentSettings):
    """Stores to copy from, the data bucket, the pipeline, and the event bus."""

    trusted_stores: tuple[Store, ...]
    data_store: Store
    pipeline: str
    """Name of the SageMaker pipeline."""
    event_bus: str
    """Name of the subscriber's event bus."""
