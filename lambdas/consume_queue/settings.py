"""Settings of the consume function of a subscriber with a queue."""

from dataclasses import dataclass

from claim_check import Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EnvironmentSettings):
    """Stores, the state machine, and the dead-letter queue."""

    trusted_stores: tuple[Store, ...]
    staging_store: Store
    state_machine_arn: str
    dead_letter_queue_url: str
    maximum_receives: int
    """Number of receives after which SQS moves a message to the dead-letter queue."""
