"""Dead-lettering of records, with the reason as an attribute."""

import base64
from typing import TYPE_CHECKING, Any

from shared.message_text import printable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

REASON = "DeadLetterReason"
_REASON_CHARACTERS = 1024


def send_to_dead_letters(record: dict[str, Any], error: Exception, *, queue_url: str, sqs: "SQSClient") -> None:
    """Send the record unchanged, with the attribute `DeadLetterReason`: the error's class and text.

    Raises:
        botocore.exceptions.ClientError: SQS rejected the message, for instance because it has 10 attributes already.
            The error must reach Lambda: SQS then moves the message itself after its last receive.
    """
    attributes = {name: _attribute(value) for name, value in record.get("messageAttributes", {}).items()}
    reason = printable(f"{type(error).__name__}: {error}", _REASON_CHARACTERS)
    attributes[REASON] = {"DataType": "String", "StringValue": reason}
    order = {}
    if record["eventSourceARN"].endswith(".fifo"):
        # SQS's id, not the sender's: a redriven message that fails again within minutes is no duplicate.
        order = {
            "MessageGroupId": record["attributes"]["MessageGroupId"],
            "MessageDeduplicationId": record["messageId"],
        }
    sqs.send_message(QueueUrl=queue_url, MessageBody=record["body"], MessageAttributes=attributes, **order)


def _attribute(value: dict[str, Any]) -> "MessageAttributeValueTypeDef":
    """Convert an attribute of an SQS event to the form of the SQS API."""
    if value.get("binaryValue") is not None:
        return {"DataType": value["dataType"], "BinaryValue": base64.b64decode(value["binaryValue"])}
    return {"DataType": value["dataType"], "StringValue": value["stringValue"]}
