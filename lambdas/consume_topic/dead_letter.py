"""Dead-lettering of an event, in the form in which Lambda writes a failed event."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.message_text import message_text

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

CONDITION = "PermanentError"
"""The condition in place of Lambda's `RetriesExhausted`."""


def send_to_dead_letters(
    record: dict[str, Any], error: Exception, *, context: LambdaContext, queue_url: str, sqs: "SQSClient"
) -> None:
    """Send an event with this record, and the error.

    Raises:
        botocore.exceptions.ClientError: SQS rejected the message. The error must reach Lambda, which retries the event
            and writes it to the queue itself.
    """
    content = {
        "version": "1.0",
        "timestamp": datetime.now(tz=UTC).isoformat(),
        "requestContext": {
            "requestId": context.aws_request_id,
            "functionArn": context.invoked_function_arn,
            "condition": CONDITION,
        },
        "requestPayload": {"Records": [record]},
        "responsePayload": {"errorType": type(error).__name__, "errorMessage": str(error)},
    }
    sqs.send_message(QueueUrl=queue_url, MessageBody=message_text(content))
