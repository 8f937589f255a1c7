"""The id of a message: the sender's, the same at every retry, safe in an object key and in names of other services."""

from __future__ import annotations

import os
import re

from claim_check.errors import InvalidMessage

_pattern = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_message_id(value: object) -> bool:
    """Whether `value` can be a message's id: 1 to 64 of A-Z a-z 0-9 . _ - and neither "." nor ".."."""
    return isinstance(value, str) and _pattern.fullmatch(value) is not None and value not in {".", ".."}


def checked_id(value: str) -> str:
    """`value`, or InvalidMessage when it cannot be a message's id."""
    if not is_message_id(value):
        raise InvalidMessage(
            f"message_id {value!r} is not 1 to 64 of A-Z a-z 0-9 . _ - (and not '.' or '..'): pass a digest of it, "
            "for example hashlib.sha256(…).hexdigest()"
        )
    return value


def fresh_id() -> str:
    """An id for a message whose sender has none. A retry under a fresh id is another message: pass your own where it
    matters."""
    return os.urandom(16).hex()  # as random as a UUID and a few bits more, in a sixth of the time
