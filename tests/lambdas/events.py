"""Lambda's context, and records of SQS in Lambda's form."""

import base64
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

CONTEXT = SimpleNamespace(
    function_name="function",
    function_version="$LATEST",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
    aws_request_id="request",
    get_remaining_time_in_millis=lambda: 300_000,
)
"""The part of Lambda's context that handlers use."""


def sqs_record(message: Mapping[str, Any], *, attributes: Mapping[str, str], queue_arn: str) -> dict[str, Any]:
    """Return a received message of a queue, with attributes of SQS."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message.get("ReceiptHandle", "handle"),
        "body": message["Body"],
        "attributes": dict(attributes),
        "messageAttributes": {
            name: {"dataType": value["DataType"], **_value(value)}
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def _value(value: Mapping[str, Any]) -> dict[str, str]:
    if "BinaryValue" in value:
        return {"binaryValue": base64.b64encode(value["BinaryValue"]).decode()}
    return {"stringValue": value["StringValue"]}
