"""Run with `python -m pytest` in this folder. No AWS account is needed."""

import pytest
from application import process

from claim_check import Dereferencer, Message, PayloadRejected


def message(payload: str) -> Message:
    """Return a message that contains its payload."""
    return Dereferencer(stores=[]).message({"MessageId": "message-1", "Body": payload})


def test_lines_are_counted() -> None:
    """The result is JSON-ready."""
    assert process(message("first\nsecond\n")) == {"lines": 2}


def test_empty_payload_is_rejected() -> None:
    """The reason is in the dead letter."""
    with pytest.raises(PayloadRejected, match="the payload is empty"):
        process(message(""))
