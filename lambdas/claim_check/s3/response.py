"""Responses that S3, SNS or SQS cannot have sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError

M = TypeVar("M", bound=Mapping[str, Any])


class NotFromService(BotoCoreError):
    """A response of success without a member that the service always sends: of a proxy, or of a wrong URL."""

    fmt = "the response has no {member}"


def required(response: Mapping[str, Any], member: str) -> Any:
    """Return a member of a response. Raises NotFromService if it is missing or empty."""
    if response.get(member) in (None, ""):
        raise NotFromService(member=member)
    return response[member]


def complete(response: M) -> M:
    """Return the response of GetObject or HeadObject. Raises NotFromService if S3 cannot have sent it."""
    for member in ("ETag", "ContentLength"):
        required(response, member)
    return response


def is_foreign(error: Exception) -> bool:
    """Return whether the error is about a response that another server than S3 sent, with a status of success."""
    from botocore.parsers import ResponseParserError  # imported late, as in s3_client

    return isinstance(error, NotFromService | ResponseParserError)
