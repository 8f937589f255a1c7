"""Responses that S3, SNS or SQS cannot have sent."""

from __future__ import annotations

from collections.abc import Mapping
from traceback import walk_tb
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

    return isinstance(error, NotFromService | ResponseParserError) or _is_of_a_header(error)


def _is_of_a_header(error: Exception) -> bool:
    # botocore has no error of its own for a length or a date that it cannot parse.
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    is_of_the_parser = any(frame.f_globals.get("__name__") == "botocore.parsers" for frame in frames)
    return is_of_the_parser and isinstance(error, ValueError | ArithmeticError | TypeError)
