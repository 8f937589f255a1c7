"""The table `[[senders]]` of the deployment file."""

from __future__ import annotations

from stacks.deployment.types import Account, Name, Region, Table

PUBLISHERS_OWN = "publisher"
"""Sender name of uploads by the publisher's account. No configured sender may have it."""


class SenderConfig(Table):
    """`[[senders]]`: an application that puts events on the bus and uploads to its folder of the outbox."""

    name: Name
    """Name of the sender. Part of its stack's and role's name, and its folder of the outbox."""
    account: Account
    """The sender's account. Senders may share an account. The event bus's policy allows 25 accounts."""
    region: Region | None = None
    """Region of the sender's stack. Default: `publisher.region`. If it or the publisher's Region is opt-in, it must be
    enabled in the accounts of both.
    """
