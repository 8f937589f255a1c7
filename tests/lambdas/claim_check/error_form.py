"""The form of an error's text: one line in lower case, except names, with no full stop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from claim_check import ClaimCheckError

NAMES = {
    *("AWS", "Amazon", "SNS", "SQS", "S3", "EventBridge", "HTTP", "HTTPS", "JSON", "FIFO", "ARN", "RSA", "UTF-8"),
    *("SHA-256", "CRC64NVME", "CRC32", "ASCII", "Unicode", "ClaimCheck", "MaximumMessageSize", "RawMessageDelivery"),
    *("KMS", "Region", "SHA-1", "ETag"),
    *("MessageId", "TopicArn", "SubscribeURL", "SigningCertURL", "SignatureVersion", "MessageStructure"),
}
"""Names, which are never written in lower case."""
FIELDS = {
    *("Binary", "Number", "String", "String.Array", "Subject", "Message", "Type", "Token", "Timestamp", "Signature"),
    *("Sns", "A-Z"),
}
"""Names of fields and values, which are also words."""
_LOWER = {name.lower() for name in NAMES}
# Values in the text: quoted, numbers and times, addresses, error codes of services, and texts of other libraries.
_VALUES = re.compile(
    r"(?<!\w)'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\w+://[^\s,)]+[^\s,):]|(?<![\w-])\d[\w:.+-]*|is not JSON: .*"
    r"|(?:S3|SNS|SQS|EventBridge) returned [\w.]+|\w+Error\b|NoneType|cannot be True|SHA-256 None|and None$"
    r"|ProfileNotFound|subscription to \S+|rejected the message \([\w.]+\)|hashlib\.\S+|open\([^)]*\)",
    re.DOTALL,
)


def check_form(text: str) -> None:
    """Fail if the text is not one line, or has capital letters in a word other than a name."""
    assert text
    assert "\n" not in text
    assert not text.endswith(".")
    for word in re.findall(r"[A-Za-z](?:[\w.-]*\w)?", _VALUES.sub(" ", text)):
        assert word in NAMES or word in FIELDS or word == word.lower() not in _LOWER, f"{word!r} in {text!r}"


@contextmanager
def checked_errors() -> Iterator[None]:
    """Check the text of each error when it is created."""
    create: Any = ClaimCheckError.__init__

    def checked(error: ClaimCheckError, problem: str, **known: Any) -> None:
        check_form(problem)
        create(error, problem, **known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClaimCheckError, "__init__", checked)
        yield
