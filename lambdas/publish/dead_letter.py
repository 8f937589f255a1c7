"""Dead letters of refused events: in the form of a rule's dead letters, which `coatcheck redrive` reads."""

from typing import TYPE_CHECKING, Any

from shared.message_text import message_text, printable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MESSAGE_CHARACTERS = 1000


def send_to_dead_letters(event: dict[str, Any], error: Exception, *, queue_url: str, sqs: "SQSClient") -> None:
    """Send the event unchanged, with the error's class and text as attributes.

    Raises:
        botocore.exceptions.ClientError: SQS rejected the message. The error must reach Lambda, which then retries the
            event and writes it to the same queue.
    """
    sqs.send_message(
        QueueUrl=queue_url,
        MessageBody=message_text(event),
        MessageAttributes={
            "ERROR_CODE": {"DataType": "String", "StringValue": type(error).__name__},
            "ERROR_MESSAGE": {"DataType": "String", "StringValue": printable(str(error), _MESSAGE_CHARACTERS)},
        },
    )
