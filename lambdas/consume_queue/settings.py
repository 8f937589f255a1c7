"""Settings of the consume function of a subscriber with a queue. `consume.settings` has those of its application."""

from dataclasses import dataclass

from claim_check import Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EnvironmentSettings):
    """Stores and the dead-letter queue."""

    trusted_stores: tuple[Store, ...]
    dead_letter_queue_url: str
    maximum_receives: int
    """Number of a message's attempts. Afterwards the function moves it to the dead-letter queue."""
