"""The destination of messages: a topic of SNS, or a queue of SQS. Both have the same attributes, limits and batches."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from claim_check.errors import ClaimCheckError, InvalidMessage
from claim_check.service_errors import code, messaging_error

if TYPE_CHECKING:
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_sqs.client import SQSClient

    from claim_check.publishing.outgoing_message import OutgoingMessage

_topic = re.compile(r"arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?P<fifo>\.fifo)?")
_queue = re.compile(r"https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9_-]+)*/[A-Za-z0-9_-]{1,80}(?P<fifo>\.fifo)?")
_queue_region = re.compile(r"https://(?:[a-z0-9.-]+\.)?sqs\.(?P<region>[a-z]{2,}(-[a-z]+)+-[0-9]+)\.")
_INVALID = frozenset(
    {
        "AWS.SimpleNotificationService.BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "BatchRequestTooLong",
        "InvalidAttributeValue",
        "InvalidMessageContents",
        "InvalidParameter",
        "InvalidParameterValue",
        "MissingParameter",
        "ParameterValueInvalid",
        "ValidationException",
    }
)


class Destination(Protocol):
    """A topic or a queue. `kind` and `service` name it in errors. Its calls raise boto's errors."""

    kind: str
    service: str
    fifo: bool

    def send(self, request: Mapping[str, Any]) -> str:
        """Send one message, in the parameters of SNS's Publish except the topic. Returns the service's id."""

    def send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Send up to ten messages with their `Id`, and return the response: `Successful` and `Failed`."""


class Topic:
    """A topic of SNS. Raises ValueError if `arn` is not a topic's."""

    kind, service = "topic", "SNS"

    def __init__(self, arn: str, sns: SNSClient | None = None) -> None:
        topic = _topic.fullmatch(arn)
        if not topic:
            raise ValueError(f"topic_arn = {arn!r}: must be an SNS topic's ARN")
        self.arn = arn
        self.fifo = topic["fifo"] is not None
        self._region = topic["region"]
        self._made = sns

    def send(self, request: Mapping[str, Any]) -> str:
        """Publish one message."""
        return self._sns.publish(TopicArn=self.arn, **request)["MessageId"]

    def send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Publish up to ten messages."""
        batch: Any = entries
        return self._sns.publish_batch(TopicArn=self.arn, PublishBatchRequestEntries=batch)

    @property
    def _sns(self) -> SNSClient:
        if self._made is None:
            self._made = _client("sns", self._region)
        return self._made


class Queue:
    """A queue of SQS. Raises ValueError if `url` is not a queue's, or has no Region and `sqs` is None."""

    kind, service = "queue", "SQS"

    def __init__(self, url: str, sqs: SQSClient | None = None) -> None:
        queue, region = _queue.fullmatch(url), _queue_region.match(url)
        if not queue:
            raise ValueError(f"queue_url = {url!r}: must be the URL of an SQS queue")
        if sqs is None and region is None:
            raise ValueError(f"queue_url = {url!r}: does not name a Region, so pass a client of SQS as sqs")
        self.url = url
        self.fifo = queue["fifo"] is not None
        self._region = region["region"] if region else ""
        self._made = sqs

    def send(self, request: Mapping[str, Any]) -> str:
        """Send one message."""
        return self._sqs.send_message(QueueUrl=self.url, **_sqs_names(request))["MessageId"]

    def send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Send up to ten messages."""
        batch: Any = [_sqs_names(entry) for entry in entries]
        return self._sqs.send_message_batch(QueueUrl=self.url, Entries=batch)

    @property
    def _sqs(self) -> SQSClient:
        if self._made is None:
            self._made = _client("sqs", self._region)
        return self._made


def sending_error(error: Exception, message: OutgoingMessage, *, destination: Destination) -> ClaimCheckError:
    """Return the library's error for boto's, which becomes its cause."""
    known: Any = {"message_id": message.fields.id, "pointer": message.pointer}
    if not isinstance(error, ClientError) or code(error) not in _INVALID:
        return messaging_error(error, "send the message", service=destination.service, **known)
    invalid = InvalidMessage(
        f"{destination.service} rejected the message ({code(error)}); if it is too long, set the threshold to the "
        f"{destination.kind}'s MaximumMessageSize",
        **known,
    )
    invalid.__cause__ = error
    return invalid


def is_certain(error: Exception) -> bool:
    """Return whether the service has certainly not sent the message, and rejects the same call again."""
    if not isinstance(error, ClientError):
        return False
    metadata = error.response.get("ResponseMetadata", {})
    status, retries = metadata.get("HTTPStatusCode", 0), metadata.get("RetryAttempts", 0)
    # After a retry, an earlier attempt may have succeeded, and only its response was lost.
    return 400 <= status < 500 and status not in {408, 429} and "Throttl" not in code(error) and not retries


def _sqs_names(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"MessageBody" if name == "Message" else name: value for name, value in request.items()}


def _client(service: str, region: str) -> Any:
    import boto3  # imported late, as in s3_client

    return boto3.client(service, region_name=region)  # type: ignore[call-overload]
