"""Settings of the copy function."""

from dataclasses import dataclass

from claim_check import Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EnvironmentSettings):
    """Stores to copy from, and the landing bucket."""

    trusted_stores: tuple[Store, ...]
    landing_store: Store
