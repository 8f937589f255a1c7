"""A record there is no hope for goes to the dead-letter queue, alone, and says why."""

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

REASON = "DeadLetterReason"
_LONGEST_REASON = 1024


def send_to_dead_letters(record: dict[str, Any], error: Exception, *, queue_url: str, sqs: "SQSClient") -> None:
    """Send the record on as it came, with one attribute more: `DeadLetterReason`, the error's class and text.

    Raises:
        botocore.exceptions.ClientError: SQS refused, for instance because the message has no room left for an attribute
            (10 at most). Let it propagate: SQS then moves the message itself after its last receive.
    """
    attributes = {name: _attribute(value) for name, value in record.get("messageAttributes", {}).items()}
    attributes[REASON] = {"DataType": "String", "StringValue": _reason(error)}
    order = {}
    if record["eventSourceARN"].endswith(".fifo"):
        # SQS's id, not the sender's: that a message fails again soon after it was sent back is no duplicate.
        order = {
            "MessageGroupId": record["attributes"]["MessageGroupId"],
            "MessageDeduplicationId": record["messageId"],
        }
    sqs.send_message(QueueUrl=queue_url, MessageBody=record["body"], MessageAttributes=attributes, **order)


def _reason(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    return "".join(char if char.isprintable() else " " for char in text)[:_LONGEST_REASON]


def _attribute(value: dict[str, Any]) -> "MessageAttributeValueTypeDef":
    """An attribute of an SQS event, as the API wants it."""
    if value.get("binaryValue") is not None:
        return {"DataType": value["dataType"], "BinaryValue": base64.b64decode(value["binaryValue"])}
    return {"DataType": value["dataType"], "StringValue": value["stringValue"]}
