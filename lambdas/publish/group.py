"""The message group of a FIFO topic, from names that people chose."""

import hashlib
import re

_LETTERS = re.compile(r"[!-~]{1,128}")  # what SNS takes: printable ASCII without blanks


def group_id(name: str) -> str:
    """`name` itself, or a digest of it where SNS would refuse it: the same name is always the same group."""
    return name if _LETTERS.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()
