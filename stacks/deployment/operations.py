"""The table `[operations]` of the deployment file."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import Doc

from stacks.deployment.types import Array, Email, Table, Unique, WebAddress

_LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)


def _check_log_retention(days: int) -> int:
    if days not in _LOG_RETENTION_DAYS:
        raise ValueError(f"must be one of {', '.join(map(str, _LOG_RETENTION_DAYS))}.")
    return days


LogRetentionDays = Annotated[
    int,
    AfterValidator(_check_log_retention),
    Doc(f"one of {', '.join(map(str, _LOG_RETENTION_DAYS))}"),
]


def _check_emails(emails: tuple[str, ...]) -> tuple[str, ...]:
    """Reject two addresses that CDK distinguishes by a hash alone. `coatcheck access` finds resources without it."""
    plain = [re.sub("[^A-Za-z0-9]", "", email) for email in emails]
    for index, (email, words) in enumerate(zip(emails, plain, strict=True)):
        if (first := plain.index(words)) < index:
            raise ValueError(
                f"has {email}, which differs from {emails[first]} by punctuation only. Use a mailing list."
            )
    return emails


class OperationsConfig(Table):
    """`[operations]`: recipients of alarms, the runbook's address, and the retention of logs."""

    emails: Annotated[Array[Email], Unique, AfterValidator(_check_emails)] = Field(default=(), max_length=10)
    """Recipients of the alarms of every stack. AWS mails each a link to confirm, once for each stack."""
    runbook: WebAddress | None = None
    """Address of the runbook. Alarms and dashboards link to its sections. Without it there are no links."""
    log_retention_days: LogRetentionDays = 30
    """Retention of all logs, also of the research environment."""
