"""SageMaker's log groups, which have the same names for all environments of an account and Region."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any


def set_retention(logs: Any, names: Iterable[str], *, days: int) -> list[str]:
    """Create missing log groups, and set the retention of those that have none. Return these groups.

    A retention that was set before, for example by another environment, remains.
    """
    changed = []
    for name in names:
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=name)
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
        groups = {group["logGroupName"]: group for page in pages for group in page["logGroups"]}
        if "retentionInDays" not in groups[name]:
            logs.put_retention_policy(logGroupName=name, retentionInDays=days)
            changed.append(name)
    return changed
