"""Text that SNS and SQS accept, and JSON from untrusted senders."""

from __future__ import annotations

import json
import re

from claim_check.errors import MalformedMessage

# SNS and SQS accept #x9 #xA #xD, #x20-#xD7FF, #xE000-#xFFFD and #x10000-#x10FFFF (API references of SNS Publish and
# SQS SendMessage). The pattern lists the others: Python needs 4 ms at every cold start to compile their complement.
_rejected = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_rejected_ascii = bytes([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20)])


def is_publishable(text: str) -> bool:
    """Return whether a message body or attribute can contain every character."""
    if text.isascii():  # six times as fast: a mebibyte in 2 ms
        octets = text.encode("ascii")
        return len(octets.translate(None, _rejected_ascii)) == len(octets)
    return not _rejected.search(text)


def publishable_text(data: bytes) -> str | None:
    """Return the bytes as a message body, or None if SNS would reject it.

    SNS rejects empty text, bytes that are not UTF-8, and control characters.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text and is_publishable(text) else None


def is_utf8(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8. JSON allows an unpaired surrogate, UTF-8 does not."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def parse_json(text: str | bytes, subject: str, *, message_id: str | None = None) -> object:
    """Parse JSON from an untrusted sender. Raises MalformedMessage, and no other error, naming `subject`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        # `from None`: a JSONDecodeError or UnicodeDecodeError holds the whole document.
        raise MalformedMessage(f"{subject} is not JSON: {_reason(error)}", message_id=message_id) from None


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else type(error).__name__
