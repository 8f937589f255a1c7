"""Messages as SQS and SNS deliver them: those that the library does not publish, with the error of each."""

import json
from typing import Any, NamedTuple

import boto3

from claim_check import Pointer
from tests.lambdas.conftest import STORE

STORED, OTHER_DIGEST = b"stored", "0" * 64


class RawMessage(NamedTuple):
    """A message. `attributes` has data type and value by name."""

    body: str
    attributes: dict[str, tuple[str, str]]

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


def pointing(bucket: str, key: str, size: str = str(len(STORED)), **claim: str) -> RawMessage:
    """Return a message with a pointer."""
    attributes = {"ExtendedPayloadSize": ("Number", size)}
    own = {"ClaimCheck": ("String", json.dumps(claim))} if claim else {}
    return RawMessage(Pointer(bucket, key).body(), attributes | own)


_KEY = (STORE.bucket, "payloads/stored")
_MARKED = {"ExtendedPayloadSize": ("Number", str(len(STORED)))}

BAD_MESSAGES = {
    "marker without pointer": (RawMessage("hello", _MARKED), "MalformedMessage"),
    "blank pointer": (RawMessage(" ", _MARKED), "MalformedMessage"),
    "pointer of another class": (RawMessage('["java.lang.Runtime",{}]', _MARKED), "MalformedMessage"),
    "pointer without key": (pointing(STORE.bucket, ""), "MalformedMessage"),
    "long pointer": (RawMessage("[" * 30_000, _MARKED), "MalformedMessage"),
    "size is no number": (pointing(*_KEY, "six"), "MalformedMessage"),
    "claim is no JSON": (RawMessage("hello", {"ClaimCheck": ("String", "{")}), "MalformedMessage"),
    "id with a path": (RawMessage("hello", {"ClaimCheck": ("String", '{"id":"../x"}')}), "MalformedMessage"),
    "another bucket": (pointing("other-bucket", "payloads/stored"), "UntrustedStore"),
    "another prefix": (pointing(STORE.bucket, "outbox/stored"), "UntrustedStore"),
    "path out of the prefix": (pointing(STORE.bucket, "payloads/../x"), "UntrustedStore"),
    "expired payload": (pointing(STORE.bucket, "payloads/expired"), "PayloadMissing"),
    "fewer bytes": (pointing(*_KEY, "7"), "PayloadCorrupt"),
    "more bytes": (pointing(*_KEY, "5"), "PayloadCorrupt"),
    "other bytes": (pointing(*_KEY, id="bad", sha256=OTHER_DIGEST), "PayloadCorrupt"),
    "compressed payload": (
        RawMessage(
            Pointer(*_KEY).body(),
            {
                "CompressedPayloadSize": ("Number", "6"),
                "ClaimCheck": ("String", '{"id":"bad","encoding":"gzip","expanded":9}'),
            },
        ),
        "EncodingNotSupported",
    ),
    "other bytes inline": (
        RawMessage("hello", {"ClaimCheck": ("String", f'{{"id":"bad","sha256":"{OTHER_DIGEST}"}}')}),
        "PayloadCorrupt",
    ),
}
"""Messages and the class of their error."""
