"""The pointer: the message body that replaces an offloaded payload.

A pointer is written in the form of AWS's Java library for SNS, which every AWS claim-check library reads. `FORMS` has
others, for readers that support no other. Accepted are the forms of the AWS libraries for Java and Python, of PyPI's
sqs-extended-client and of co-go. The forms differ in class name, white space and marker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from claim_check.errors import MalformedMessage
from claim_check.wire.attribute import Attribute
from claim_check.wire.text import is_utf8, parse_json

MARKER = "ExtendedPayloadSize"
LEGACY_MARKER = "SQSLargePayloadSize"
COMPRESSED_MARKER = "CompressedPayloadSize"
"""The marker of a compressed payload. AWS's libraries do not support it: their users get the pointer as text, and not
compressed bytes in place of the payload."""
MARKERS = (MARKER, LEGACY_MARKER, COMPRESSED_MARKER)

PointerForm = Literal["sns-java", "sqs-java", "sqs-java-1.0", "python", "python-legacy"]


class Form(NamedTuple):
    """A written form: the class name in the body, the separators of its JSON, and the marker attribute."""

    class_name: str
    separators: tuple[str, str]
    marker: str


_CLASS, _LEGACY_CLASS = (
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
)
_COMPACT, _SPACED = (",", ":"), (", ", ": ")
FORMS: Mapping[PointerForm, Form] = {
    "sns-java": Form(_CLASS, _COMPACT, MARKER),  # also SQS Java with the legacy name disabled, and co-go
    "sqs-java": Form(_CLASS, _COMPACT, LEGACY_MARKER),  # 1.1 and later, by default
    "sqs-java-1.0": Form(_LEGACY_CLASS, _COMPACT, LEGACY_MARKER),  # also PyPI's sqs-extended-client
    "python": Form(_CLASS, _SPACED, MARKER),
    "python-legacy": Form(_LEGACY_CLASS, _SPACED, LEGACY_MARKER),
}
"""The forms of AWS's libraries, named after their writers."""

_READ_CLASSES = frozenset(form.class_name for form in FORMS.values())

# A key has at most 1,024 bytes. JSON escapes a byte with at most six characters, so a valid pointer is shorter.
_MAXIMUM_BODY_CHARACTERS = 16_384
MAXIMUM_KEY_BYTES = 1_024
_MAXIMUM_BUCKET_CHARACTERS = 255
_MAXIMUM_SIZE_DIGITS = 18


class Pointer(NamedTuple):
    """An S3 bucket's name and an object's key, as a message carries them. They are not trusted."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def body(self, form: PointerForm = "sns-java") -> str:
        """Return the message body, in the form of one of AWS's libraries."""
        place = {"s3BucketName": self.bucket, "s3Key": self.key}
        return json.dumps([FORMS[form].class_name, place], separators=FORMS[form].separators, ensure_ascii=False)

    @classmethod
    def parse(cls, body: str) -> Pointer:
        """Parse the body of a message that has a marker. Raises MalformedMessage."""
        if len(body) > _MAXIMUM_BODY_CHARACTERS:
            raise MalformedMessage(f"the body is marked as a pointer but has {len(body)} characters")
        match parse_json(body, "the pointer"):
            case [str(name), {"s3BucketName": str(bucket), "s3Key": str(key)}] if name in _READ_CLASSES:
                pointer = cls(bucket, key)
            case _:
                raise MalformedMessage("the body is marked as a pointer but is not one")
        if not (is_utf8(bucket) and is_utf8(key)):
            raise MalformedMessage("the pointer's bucket or key is not valid Unicode")
        if not 0 < len(bucket) <= _MAXIMUM_BUCKET_CHARACTERS or not 0 < len(key.encode()) <= MAXIMUM_KEY_BYTES:
            raise MalformedMessage("the pointer's bucket or key is empty or longer than S3 allows")
        return pointer


def marked_size(attributes: Mapping[str, Attribute]) -> int | None:
    """Return the payload's size in bytes from the marker attribute, or None for an inline message.

    Raises MalformedMessage if the marker is not a non-negative integer.
    """
    marker = next((attributes[name] for name in MARKERS if name in attributes), None)
    if marker is None:
        return None
    value = marker.value
    if isinstance(value, bytes) or not (value.isascii() and value.isdigit()) or len(value) > _MAXIMUM_SIZE_DIGITS:
        raise MalformedMessage("the payload size in the marker attribute is not a non-negative integer")
    return int(value)
