"""Settings of the publish function."""

from collections.abc import Mapping
from dataclasses import dataclass

from claim_check import Offload, Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class Settings(EnvironmentSettings):
    """The topic, the publisher's store, the senders, and limits."""

    deployment: str
    """The deployment's name, the source of events about messages."""
    topic_arn: str
    payload_store: Store
    outbox_prefix: str
    """Prefix of uploads in the payload bucket."""
    senders: Mapping[str, str]
    """Region and account of each sender's event bus, as `us-east-1:444444444444`, by the sender's name."""
    sender_bus: str
    """The ARN of a sender's event bus. `{place}` is Region and account, `{name}` the sender's name."""
    dead_letter_queue_url: str
    threshold_bytes: int
    """Size of a message above which its payload is offloaded."""
    offload: Offload
    maximum_upload_bytes: int
    outbox_attributes: tuple[str, ...]
    """Names of metadata that become attributes. Empty: all, if there are at most four."""

    @property
    def sender_accounts(self) -> dict[str, str]:
        """The senders' accounts by name."""
        return {name: place.rpartition(":")[2] for name, place in self.senders.items()}

    def bus_of(self, sender: str) -> str:
        """Return the ARN of a sender's event bus."""
        return self.sender_bus.format(place=self.senders[sender], name=sender)
