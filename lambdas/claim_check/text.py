"""Which text SNS and SQS carry unharmed: the characters of XML 1.0, encoded as UTF-8."""

from __future__ import annotations

import re

# Everything but #x9 #xA #xD, #x20-#xD7FF, #xE000-#xFFFD and #x10000-#x10FFFF (the SQS SendMessage and SNS Publish
# pages).
_refused = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_publishable(text: str) -> bool:
    """Whether every character may appear in a message body or attribute."""
    return not _refused.search(text)


def publishable_text(data: bytes) -> str | None:
    """The bytes as a message body, or None when they cannot be one (empty, not UTF-8, or holding a refused
    character)."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text and is_publishable(text) else None


def is_utf8(text: str) -> bool:
    """Whether the text can be encoded at all: JSON lets half a surrogate pair through, UTF-8 does not."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
