"""Tables of the deployment file about the application behind a subscriber: what happens to a payload that was read."""

from __future__ import annotations

from pydantic import Field

from stacks.fields import Table


class Landing(Table):
    """`[subscribers.landing]`: S3 copies each payload into a bucket of the subscriber's own."""

    days: int = Field(default=30, ge=1, le=3650)
    """How long a landed payload is kept."""
