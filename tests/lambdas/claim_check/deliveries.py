"""Deliveries: the forms in which subscribers receive a published message, and an SNS client that notes messages."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from claim_check import Pointer

if TYPE_CHECKING:
    from mypy_boto3_sns.client import SNSClient

SNS_ID = "0b1c2d3e-0000-4000-8000-000000000001"
SQS_ID = "0b1c2d3e-0000-4000-8000-000000000002"

Published = dict[str, Any]
Record = dict[str, Any]


class NotedSns:
    """A client that stores the messages of `publish`."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.batches: list[list[Published]] = []

    def publish(self, **request: Any) -> dict[str, str]:
        self.published.append(request)
        return {"MessageId": SNS_ID}

    def publish_batch(self, *, TopicArn: str, PublishBatchRequestEntries: list[Any]) -> dict[str, Any]:  # noqa: N803
        self.batches.append(PublishBatchRequestEntries)
        self.published += [{"TopicArn": TopicArn, **entry} for entry in PublishBatchRequestEntries]
        return {"Successful": [{"Id": entry["Id"], "MessageId": SNS_ID} for entry in PublishBatchRequestEntries]}

    def client(self) -> SNSClient:
        return cast("SNSClient", self)


def _notification(published: Published) -> Record:
    return {
        "Type": "Notification",
        "MessageId": SNS_ID,
        "TopicArn": published["TopicArn"],
        "Message": published["Message"],
        "Timestamp": "2026-01-01T00:00:00.000Z",
        **({"Subject": published["Subject"]} if "Subject" in published else {}),
        "MessageAttributes": {
            name: {"Type": value["DataType"], "Value": value.get("StringValue") or _base64(value["BinaryValue"])}
            for name, value in published["MessageAttributes"].items()
        },
    }


def _raw_api(published: Published) -> Record:
    return {"MessageId": SQS_ID, "Body": published["Message"], "MessageAttributes": published["MessageAttributes"]}


def _raw_event(published: Published) -> Record:
    attributes = {
        name: {
            "dataType": value["DataType"],
            "stringListValues": [],
            "binaryListValues": [],
            **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
            **({"binaryValue": _base64(value["BinaryValue"])} if "BinaryValue" in value else {}),
        }
        for name, value in published["MessageAttributes"].items()
    }
    return {"messageId": SQS_ID, "body": published["Message"], "attributes": {}, "messageAttributes": attributes}


def _enveloped_api(published: Published) -> Record:
    return {"MessageId": SQS_ID, "Body": json.dumps(_notification(published), indent=2)}


def _enveloped_event(published: Published) -> Record:
    return {"messageId": SQS_ID, "body": json.dumps(_notification(published)), "messageAttributes": {}}


def _sns_event(published: Published) -> Record:
    return {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": _notification(published)}


RAW: dict[str, Callable[[Published], Record]] = {"SQS API, raw": _raw_api, "SQS event, raw": _raw_event}
ENVELOPED: dict[str, Callable[[Published], Record]] = {
    "SQS API, enveloped": _enveloped_api,
    "SQS event, enveloped": _enveloped_event,
    "SNS event": _sns_event,
    "SNS envelope": _notification,
}
DELIVERIES = RAW | ENVELOPED


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def queued(body: str, attributes: dict[str, str], data_type: str = "Number") -> Record:
    """Return an SQS event's record with attributes of one type."""
    members = {name: {"dataType": data_type, "stringValue": value} for name, value in attributes.items()}
    return {"messageId": "m-1", "body": body, "messageAttributes": members}


def pointing(bucket: str, key: str, size: str = "3") -> Record:
    """Return a record of another library's pointer message."""
    return queued(Pointer(bucket, key).body(), {"ExtendedPayloadSize": size})


def short_id(value: object) -> str:
    """Return the id of a parametrised test, without characters that pytest escapes or parses."""
    return re.sub(r"[^\w{}:,'\"./ -]", "", str(value), flags=re.ASCII)[:60]
