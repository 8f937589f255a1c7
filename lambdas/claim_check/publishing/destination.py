"""The destination of messages: a topic of SNS, or a queue of SQS. Both have the same attributes, limits and batches."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from claim_check.errors import ClaimCheckError, InvalidMessage
from claim_check.s3.client import boto_client, made_once, of_this_process
from claim_check.s3.response import required
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


class Destination(ABC):
    """A topic or a queue. `kind` and `service` name it in errors. Its calls raise boto's errors.

    `client` is the given one, or one of the Region, made on first use and again in a forked process.
    """

    kind: ClassVar[str]
    service: ClassVar[str]

    def __init__(self, *, region: str, fifo: bool, client: Any) -> None:
        self.fifo = fifo
        self._region = region
        self._given = of_this_process(client)
        self._made: dict[int, Any] = {}

    @abstractmethod
    def send(self, request: Mapping[str, Any]) -> str:
        """Send one message, in the parameters of SNS's Publish except the topic. Returns the service's id."""

    @abstractmethod
    def send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Send up to ten messages with their `Id`, and return the response: `Successful` and `Failed`."""

    @property
    def client(self) -> Any:
        """The client of this process."""
        if self._given is not None:
            return of_this_process(self._given)
        return made_once(self._made, os.getpid(), lambda: boto_client(self.service.lower(), self._region))


class Topic(Destination):
    """A topic of SNS. Raises ValueError if `arn` is not a topic's."""

    kind, service = "topic", "SNS"

    def __init__(self, arn: str, sns: SNSClient | None = None) -> None:
        topic = _topic.fullmatch(arn)
        if not topic:
            raise ValueError(f"topic_arn = {arn!r}: must be an SNS topic's ARN")
        super().__init__(region=topic["region"], fifo=topic["fifo"] is not None, client=sns)
        self._arn = arn

    def send(self, request: Mapping[str, Any]) -> str:
        """Publish one message."""
        message_id: str = required(self.client.publish(TopicArn=self._arn, **request), "MessageId")
        return message_id

    def send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Publish up to ten messages."""
        response: Mapping[str, Any] = self.client.publish_batch(TopicArn=self._arn, PublishBatchRequestEntries=entries)
        return response


class Queue(Destination):
    """A queue of SQS. Raises ValueError if `url` is not a queue's, or has no Region and `sqs` is None."""

    kind, service = "queue", "SQS"

    def __init__(self, url: str, sqs: SQSClient | None = None) -> None:
        queue, region = _queue.fullmatch(url), _queue_region.match(url)
        if not queue:
            raise ValueError(f"queue_url = {url!r}: must be the URL of an SQS queue")
        if sqs is None and region is None:
            raise ValueError(f"queue_url = {url!r}: does not name a Region, so pass a client of SQS as sqs")
        super().__init__(region=region["region"] if region else "", fifo=queue["fifo"] is not None, client=sqs)
        self._url = url

    def send(self, request: Mapping[str, Any]) -> str:
        """Send one message."""
        message_id: str = required(self.client.send_message(QueueUrl=self._url, **_sqs_names(request)), "MessageId")
        return message_id

    def send_batch(self, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Send up to ten messages."""
        batch = [_sqs_names(entry) for entry in entries]
        response: Mapping[str, Any] = self.client.send_message_batch(QueueUrl=self._url, Entries=batch)
        return response


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
