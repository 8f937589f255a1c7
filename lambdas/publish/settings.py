"""Settings of the publish function."""

from collections.abc import Mapping
from dataclasses import dataclass

from claim_check import Offload, Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EnvironmentSettings):
    """The topic, the publisher's store, and limits."""

    topic_arn: str
    payload_store: Store
    outbox_prefix: str
    """Prefix of uploads in the payload bucket."""
    senders: Mapping[str, str]
    """Account ids of the senders, by name."""
    threshold_bytes: int
    """Size of a message above which its payload is offloaded."""
    offload: Offload
    maximum_upload_bytes: int
