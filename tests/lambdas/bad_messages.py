"""Messages that the library does not publish, and the error of each."""

import json
from typing import Any, NamedTuple

import boto3

from tests.lambdas.conftest import STORE

STORED, OTHER_DIGEST = b"stored", "0" * 64


class BadMessage(NamedTuple):
    """A message. `attributes` has data type and value by name."""

    body: str
    attributes: dict[str, tuple[str, str]]
    error: str

    def queued(self) -> dict[str, Any]:
        """Return the message in the form of the SQS API."""
        attributes = {
            name: {"DataType": data_type, "StringValue": value} for name, (data_type, value) in self.attributes.items()
        }
        return {"MessageId": "bad", "Body": self.body, "MessageAttributes": attributes}

    def notified(self) -> dict[str, Any]:
        """Return the message as an SNS event."""
        attributes = {name: {"Type": data_type, "Value": value} for name, (data_type, value) in self.attributes.items()}
        sns = {
            "Type": "Notification",
            "MessageId": "bad",
            "TopicArn": "arn:aws:sns:us-east-1:111111111111:coatcheck-messages",
            "Message": self.body,
            "Timestamp": "2026-11-20T03:00:00.000Z",
            "MessageAttributes": attributes,
        }
        return {"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns}]}


def store_payload() -> None:
    """Store the payload that some of the pointers name."""
    boto3.client("s3").put_object(Bucket=STORE.bucket, Key="payloads/stored", Body=STORED, ChecksumAlgorithm="SHA256")


def _pointer(bucket: str, key: str) -> str:
    return json.dumps(
        ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": bucket, "s3Key": key}],
        separators=(",", ":"),
    )


def _marked(size: str = str(len(STORED)), **claim: str) -> dict[str, tuple[str, str]]:
    marker = {"ExtendedPayloadSize": ("Number", size)}
    return marker | ({"ClaimCheck": ("String", json.dumps(claim))} if claim else {})


_VALID = _pointer(STORE.bucket, "payloads/stored")

BAD_MESSAGES = {
    "marker without pointer": BadMessage("hello", _marked(), "MalformedMessage"),
    "blank pointer": BadMessage(" ", _marked(), "MalformedMessage"),
    "pointer of another class": BadMessage('["java.lang.Runtime",{}]', _marked(), "MalformedMessage"),
    "pointer without key": BadMessage(_pointer(STORE.bucket, ""), _marked(), "MalformedMessage"),
    "long pointer": BadMessage("[" * 30_000, _marked(), "MalformedMessage"),
    "size is no number": BadMessage(_VALID, _marked("six"), "MalformedMessage"),
    "claim is no JSON": BadMessage("hello", {"ClaimCheck": ("String", "{")}, "MalformedMessage"),
    "id with a path": BadMessage("hello", {"ClaimCheck": ("String", '{"id":"../x"}')}, "MalformedMessage"),
    "another bucket": BadMessage(_pointer("other-bucket", "payloads/stored"), _marked(), "UntrustedStore"),
    "another prefix": BadMessage(_pointer(STORE.bucket, "outbox/stored"), _marked(), "UntrustedStore"),
    "path out of the prefix": BadMessage(_pointer(STORE.bucket, "payloads/../x"), _marked(), "UntrustedStore"),
    "expired payload": BadMessage(_pointer(STORE.bucket, "payloads/expired"), _marked(), "PayloadMissing"),
    "fewer bytes": BadMessage(_VALID, _marked("7"), "PayloadCorrupt"),
    "more bytes": BadMessage(_VALID, _marked("5"), "PayloadCorrupt"),
    "other bytes": BadMessage(_VALID, _marked(id="bad", sha256=OTHER_DIGEST), "PayloadCorrupt"),
    "compressed payload": BadMessage(
        _VALID,
        {
            "CompressedPayloadSize": ("Number", "6"),
            "ClaimCheck": ("String", '{"id":"bad","encoding":"gzip","expanded":9}'),
        },
        "EncodingNotSupported",
    ),
    "other bytes inline": BadMessage(
        "hello", {"ClaimCheck": ("String", f'{{"id":"bad","sha256":"{OTHER_DIGEST}"}}')}, "PayloadCorrupt"
    ),
}
