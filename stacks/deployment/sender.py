"""The table `[[senders]]` of the deployment file."""

from __future__ import annotations

from stacks.deployment.types import Account, Name, Region, Table

PUBLISHERS_OWN = "publisher"
"""The sender of what comes from no configured sender's folder."""


class SenderConfig(Table):
    """`[[senders]]`: an application that puts events on the bus and uploads to a folder of its own in the outbox."""

    name: Name
    """Names its stack, its role and its folder in the outbox."""
    account: Account
    region: Region | None = None
    """Where its stack is; the publisher's Region unless given."""
