"""The table `[operations]` of the deployment file."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from stacks.deployment.types import Email, Table

_LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _that_logs_can_be_kept(days: int) -> int:
    if days not in _LOG_RETENTION_DAYS:
        raise ValueError(f"CloudWatch keeps logs for one of {', '.join(map(str, _LOG_RETENTION_DAYS))} days")
    return days


class OperationsConfig(Table):
    """`[operations]`: whom alarms tell, and what is kept to find out what happened."""

    emails: tuple[Email, ...] = Field(default=(), strict=False, max_length=10)
    """Who gets a mail from every stack's alarms, once they have confirmed the subscription that AWS mails them."""
    runbook: str = Field(default="docs/runbook.md", min_length=1, max_length=512)
    """Where people find the runbook: its address, which alarms and dashboards give."""
    log_retention_days: Annotated[int, AfterValidator(_that_logs_can_be_kept)] = 30
