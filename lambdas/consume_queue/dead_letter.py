"""A record that can never succeed goes to the dead-letter queue at once, alone, and says why."""

import base64
from typing import TYPE_CHECKING, Any

from claim_check import ClaimCheckError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

_LONGEST_REASON = 1024


def send_to_dead_letters(record: dict[str, Any], error: ClaimCheckError, *, queue_url: str, sqs: "SQSClient") -> None:
    """Send the record on as it came, with two attributes more: `DeadLetterReason` (the error's class) and
    `DeadLetterError` (its text).

    Raises:
        botocore.exceptions.ClientError: SQS refused, for instance because the message has no room left for attributes
            (10 at most). Let it propagate: SQS then moves the message itself after its last receive.
    """
    attributes: dict[str, MessageAttributeValueTypeDef] = {
        name: _attribute(value) for name, value in record.get("messageAttributes", {}).items()
    }
    attributes["DeadLetterReason"] = {"DataType": "String", "StringValue": type(error).__name__}
    attributes["DeadLetterError"] = {"DataType": "String", "StringValue": str(error)[:_LONGEST_REASON]}
    system = record["attributes"]
    fifo = (
        {
            "MessageGroupId": system["MessageGroupId"],
            "MessageDeduplicationId": system["MessageDeduplicationId"],
        }
        if "MessageGroupId" in system and "MessageDeduplicationId" in system
        else {}
    )
    sqs.send_message(QueueUrl=queue_url, MessageBody=record["body"], MessageAttributes=attributes, **fifo)


def _attribute(value: dict[str, Any]) -> "MessageAttributeValueTypeDef":
    """An attribute of an SQS event, as the API wants it."""
    if "binaryValue" in value and value["binaryValue"] is not None:
        return {"DataType": value["dataType"], "BinaryValue": base64.b64decode(value["binaryValue"])}
    return {"DataType": value["dataType"], "StringValue": value["stringValue"]}
