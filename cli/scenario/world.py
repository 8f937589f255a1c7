"""The world of the scenario: accounts with a deployment, emulated ones or those of AWS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stacks.deployment import FunctionSubscriberConfig, HttpsSubscriberConfig


@dataclass(frozen=True)
class Unseen:
    """A part of the scenario that could not be tried or observed, and the reason."""

    subject: str
    reason: str


class ScenarioWorld(Protocol):
    """The accounts whose credentials the caller has, and the web servers that can be observed."""

    @property
    def other_account(self) -> str | None:
        """An account outside the deployment, for requests that must be denied. None without its credentials."""

    @property
    def is_disposable(self) -> bool:
        """Whether the accounts end with the run, so that it may leave resources in them."""

    def runs_task(self, subscriber: FunctionSubscriberConfig) -> bool:
        """Return whether the subscriber's ECS task runs. If not, it is only recorded."""

    def reaches(self, account: str) -> bool:
        """Return whether there are credentials of the account."""

    def client(
        self, service: str, *, account: str, region: str, role: str | None = None, session_policy: str | None = None
    ) -> Any:
        """Return a boto3 client, as the account's own caller or as a role, limited to a policy (JSON)."""

    def received(self, subscriber: HttpsSubscriberConfig) -> Sequence[tuple[Path, dict[str, Any]]] | None:
        """Return the files and receipts of a subscriber's web server, or None if it cannot be observed."""
