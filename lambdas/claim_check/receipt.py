"""Receipt handles as AWS's extended clients for SQS hand them out: with the pointer in front of SQS's own handle."""

from __future__ import annotations

import re
from typing import NamedTuple

from claim_check.wire.pointer import Pointer

# SQS's handle may hold "-", so it is what comes after the last of the four markers, and never a piece of a split.
_embedded = re.compile(
    r"-\.\.s3BucketName\.\.-(?P<bucket>.*?)-\.\.s3BucketName\.\.-"
    r"-\.\.s3Key\.\.-(?P<key>.*?)-\.\.s3Key\.\.-"
    r"(?P<handle>.*)",
    re.DOTALL,
)


class Receipt(NamedTuple):
    """`handle` is SQS's own, to delete the message or to change its visibility with. `pointer` is where the client that
    received the message found its payload, None for a plain handle. Nothing is deleted there on a handle's word: other
    subscribers have yet to read it."""

    handle: str
    pointer: Pointer | None = None

    @classmethod
    def parse(cls, handle: str) -> Receipt:
        """The receipt in a handle, embedded or plain."""
        found = _embedded.fullmatch(handle)
        if not found:
            return cls(handle)
        return cls(found["handle"], Pointer(found["bucket"], found["key"]))
