"""Reading JSON that anybody may have written."""

from __future__ import annotations

import json

from claim_check.errors import MalformedMessage


def parsed(text: str | bytes, what: str, *, message_id: str | None = None) -> object:
    """`text` as JSON. Raises MalformedMessage, and nothing else, when it is not; the error quotes none of it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        # `from None`: a JSONDecodeError or UnicodeDecodeError keeps the whole document in an attribute.
        raise MalformedMessage(f"{what} is not JSON: {_reason(error)}", message_id=message_id) from None


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else type(error).__name__
