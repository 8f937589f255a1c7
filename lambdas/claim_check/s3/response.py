"""Responses that only S3 sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError


class NotFromS3(BotoCoreError):
    """A response with a status of success that S3 cannot have sent. The server is a proxy, or the URL is wrong."""

    fmt = "the response has no {member}"


def required(response: Mapping[str, Any], member: str) -> Any:
    """Return a member of a response. Raises NotFromS3 if it is missing or empty."""
    if not response.get(member):
        raise NotFromS3(member=member)
    return response[member]


def is_foreign(error: Exception) -> bool:
    """Return whether the error is about a response that another server than S3 sent, with a status of success."""
    from botocore.parsers import ResponseParserError  # imported late, as in s3_client

    return isinstance(error, NotFromS3 | ResponseParserError)
