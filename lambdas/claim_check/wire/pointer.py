"""The pointer: what stands in a message's body in the place of its payload.

Written: the form of AWS's Java library for SNS, which every AWS claim-check library reads; with `LEGACY_MARKER` that
of its library for SQS, for readers that know no other marker. Read: all forms of the AWS libraries for Java and Python,
of PyPI's sqs-extended-client and of co-go. They differ in class name, blanks and marker only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from claim_check.errors import MalformedMessage
from claim_check.wire.attribute import Attribute
from claim_check.wire.text import is_utf8
from claim_check.wire.untrusted import parsed

MARKER = "ExtendedPayloadSize"
LEGACY_MARKER = "SQSLargePayloadSize"
MARKERS = (MARKER, LEGACY_MARKER)

_written_class = "software.amazon.payloadoffloading.PayloadS3Pointer"
_read_classes = frozenset({_written_class, "com.amazon.sqs.javamessaging.MessageS3Pointer"})

# A key has at most 1,024 bytes, six characters each when JSON escapes them all; no honest pointer is longer than this.
_longest_body = 16_384
_longest_key = 1_024
_longest_bucket = 255
_most_digits = 18


class Pointer(NamedTuple):
    """Where a payload is stored: an S3 bucket's name and an object's key. Says nothing about whether to trust it."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def body(self) -> str:
        """The message body that stands for the payload."""
        place = {"s3BucketName": self.bucket, "s3Key": self.key}
        return json.dumps([_written_class, place], separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def parse(cls, body: str) -> Pointer:
        """The pointer in a message body that a marker announced. Raises MalformedMessage."""
        if len(body) > _longest_body:
            raise MalformedMessage(f"the body is marked as a pointer but has {len(body)} characters")
        match parsed(body, "the pointer"):
            case [str(name), {"s3BucketName": str(bucket), "s3Key": str(key)}] if name in _read_classes:
                pointer = cls(bucket, key)
            case _:
                raise MalformedMessage("the body is marked as a pointer but is not one")
        if not (is_utf8(bucket) and is_utf8(key)):
            raise MalformedMessage("the pointer's bucket or key is not valid Unicode")
        if not 0 < len(bucket) <= _longest_bucket or not 0 < len(key.encode()) <= _longest_key:
            raise MalformedMessage("the pointer's bucket or key is empty or longer than S3 allows")
        return pointer


def marked_size(attributes: Mapping[str, Attribute]) -> int | None:
    """The payload's size in bytes that a marker attribute declares, None when there is no marker (an inline message).

    Raises MalformedMessage when the marker is not a non-negative integer.
    """
    marker = next((attributes[name] for name in MARKERS if name in attributes), None)
    if marker is None:
        return None
    value = marker.value
    if isinstance(value, bytes) or not (value.isascii() and value.isdigit()) or len(value) > _most_digits:
        raise MalformedMessage("the payload size in the marker attribute is not a non-negative integer")
    return int(value)
