"""Messages that no publisher of ours sends, by what is wrong with them, and the error that each is given up with."""

import json
from typing import Any, NamedTuple

import boto3

from tests.lambdas.conftest import STORE

STORED, OTHER_DIGEST = b"stored", "0" * 64


class Bad(NamedTuple):
    """`attributes`: data type and value, by name."""

    body: str
    attributes: dict[str, tuple[str, str]]
    error: str

    def queued(self) -> dict[str, Any]:
        """As a message that the SQS API gives."""
        attributes = {
            name: {"DataType": data_type, "StringValue": value} for name, (data_type, value) in self.attributes.items()
        }
        return {"MessageId": "bad", "Body": self.body, "MessageAttributes": attributes}

    def notified(self) -> dict[str, Any]:
        """As an event of SNS."""
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


def store_a_payload() -> None:
    """What some of them point to, and misdescribe."""
    boto3.client("s3").put_object(Bucket=STORE["bucket"], Key="payloads/stored", Body=STORED)


def _pointing(bucket: str, key: str) -> str:
    return json.dumps(
        ["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": bucket, "s3Key": key}],
        separators=(",", ":"),
    )


def _marked(size: str = str(len(STORED)), **claim: str) -> dict[str, tuple[str, str]]:
    marker = {"ExtendedPayloadSize": ("Number", size)}
    return marker | ({"ClaimCheck": ("String", json.dumps(claim))} if claim else {})


_OURS = _pointing(STORE["bucket"], "payloads/stored")

BAD = {
    "a marker without a pointer": Bad("hello", _marked(), "MalformedMessage"),
    "a blank pointer": Bad(" ", _marked(), "MalformedMessage"),
    "a pointer of another class": Bad('["java.lang.Runtime",{}]', _marked(), "MalformedMessage"),
    "a pointer without a key": Bad(_pointing(STORE["bucket"], ""), _marked(), "MalformedMessage"),
    "a pointer that goes on for ever": Bad("[" * 30_000, _marked(), "MalformedMessage"),
    "a size that is no number": Bad(_OURS, _marked("six"), "MalformedMessage"),
    "a claim that is no JSON": Bad("hello", {"ClaimCheck": ("String", "{")}, "MalformedMessage"),
    "an id that leads elsewhere": Bad("hello", {"ClaimCheck": ("String", '{"id":"../x"}')}, "MalformedMessage"),
    "a stranger's bucket": Bad(_pointing("a-stranger", "payloads/stored"), _marked(), "UntrustedStore"),
    "another prefix": Bad(_pointing(STORE["bucket"], "outbox/stored"), _marked(), "UntrustedStore"),
    "a way out of the prefix": Bad(_pointing(STORE["bucket"], "payloads/../x"), _marked(), "UntrustedStore"),
    "an expired payload": Bad(_pointing(STORE["bucket"], "payloads/expired"), _marked(), "PayloadMissing"),
    "fewer bytes": Bad(_OURS, _marked("7"), "PayloadCorrupt"),
    "more bytes": Bad(_OURS, _marked("5"), "PayloadCorrupt"),
    "other bytes": Bad(_OURS, _marked(id="bad", sha256=OTHER_DIGEST), "PayloadCorrupt"),
    "other bytes inside": Bad(
        "hello", {"ClaimCheck": ("String", f'{{"id":"bad","sha256":"{OTHER_DIGEST}"}}')}, "PayloadCorrupt"
    ),
}
