"""The queues and state machines of a deployment that dead letters are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal, Protocol

from cli.redrive import dead_letter
from cli.redrive.dead_letter import DeadLetter, Parser
from cli.redrive.targets import FunctionTarget, QueueTarget, StateMachineTarget, Target
from stacks.deployment import Deployment, Names, Resource, SqsSubscriberConfig

Origin = Literal["dead-letters", "undelivered", "pipeline", "executions"]
Client = Callable[[str, str], Any]
"""Returns the boto3 client of an AWS service in a Region."""

HELD_SECONDS = 900
"""How long received messages are hidden from other receivers, such as a second redrive."""
BATCH = 1000
"""Maximum number of messages that are held at a time. They can be sent and deleted long before HELD_SECONDS."""
WAIT_SECONDS = 1
"""With any wait SQS asks all its servers, so that an empty response means an empty queue."""
UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")
REDRIVABLE = timedelta(days=14)
"""How long after its end Step Functions can redrive an execution."""
NOT_REDRIVABLE = "not sent: Step Functions cannot redrive it, see its redriveStatusReason"


class NoSuchSource(ValueError):
    """The deployment has no such queue or state machine."""


class Reader(Protocol):
    """Reads the dead letters of a source."""

    def count(self) -> int:
        """Return the approximate number of dead letters."""

    def receive(self, limit: int) -> list[DeadLetter]:
        """Return the next dead letters, at most `limit`."""

    def send(self, messages: Sequence[DeadLetter], target: Target) -> Iterator[DeadLetter]:
        """Send dead letters one after the other, and yield each when it is sent and removed from the source."""

    def release(self) -> None:
        """Make dead letters that were received and not sent visible to other receivers."""


@dataclass(frozen=True, kw_only=True)
class DeadLetterSource:
    """A queue or a state machine, its reader, and the target of its dead letters."""

    resource: Resource
    reader: Callable[[Client], Reader]
    target: Callable[[Client], Target]
    noun: str = "message"

    @property
    def name(self) -> str:
        """The name of the queue or the state machine."""
        return self.resource.name

    @property
    def region(self) -> str:
        """The Region of the queue or the state machine."""
        return _region(self.resource)

    @property
    def account(self) -> str:
        """The account that has the queue or the state machine."""
        return self.resource.arn.split(":")[4]


class QueueReader:
    """Reads a queue's messages that were sent before `until`. Messages that fail again meanwhile are left."""

    def __init__(self, *, url: str, sqs: Any, parsers: tuple[Parser, ...], until: datetime) -> None:
        self._url, self._sqs, self._parsers, self._until = url, sqs, parsers, until
        self._held: dict[str, DeadLetter] = {}

    def count(self) -> int:
        """Return the approximate number of messages in the queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def receive(self, limit: int) -> list[DeadLetter]:
        """Receive up to `limit` messages in queue order and hide them for HELD_SECONDS.

        In a FIFO queue the later messages of a message group are received only after the earlier ones are deleted.
        """
        messages: list[DeadLetter] = []
        while len(messages) < limit:
            response = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(10, limit - len(messages)),
                VisibilityTimeout=HELD_SECONDS,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageSystemAttributeNames=["SentTimestamp", "MessageGroupId"],
                MessageAttributeNames=["All"],
            )
            received = [dead_letter.parse(message, self._parsers) for message in response.get("Messages", [])]
            # None, or messages that were held for more than HELD_SECONDS.
            if all(message.id in self._held for message in received):
                break
            self._held |= {message.id: message for message in received}
            messages += (message for message in received if message.sent < self._until)
        return messages

    def send(self, messages: Sequence[DeadLetter], target: Target) -> Iterator[DeadLetter]:
        """Send each message, then delete it, then yield it.

        No message is lost if this ends early. A message that was sent but not deleted is sent again the next time, and
        is processed once because of its id.
        """
        for message in messages:
            target.send(message)
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)
            del self._held[message.id]
            yield message

    def release(self) -> None:
        """Make the received messages visible again now. Otherwise SQS does so after HELD_SECONDS."""
        messages = list(self._held.values())
        for start in range(0, len(messages), 10):
            entries = [
                {"Id": str(index), "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}
                for index, message in enumerate(messages[start : start + 10])
            ]
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


class ExecutionReader:
    """Reads a state machine's unsuccessful executions. Those that fail again meanwhile are left."""

    def __init__(self, *, state_machine_arn: str, states: Any) -> None:
        self._states = states
        since = datetime.now(tz=UTC) - REDRIVABLE
        pages = states.get_paginator("list_executions")
        # List all before the first redrive, which removes executions from these pages.
        self._arns = [
            execution["executionArn"]
            for status in UNSUCCESSFUL
            for page in pages.paginate(stateMachineArn=state_machine_arn, statusFilter=status)
            for execution in page["executions"]
            if execution["stopDate"] > since
        ]
        self._messages = self._describe()

    def count(self) -> int:
        """Return the number of executions."""
        return len(self._arns)

    def receive(self, limit: int) -> list[DeadLetter]:
        """Return the next executions, at most `limit`."""
        return list(islice(self._messages, limit))

    def send(self, messages: Sequence[DeadLetter], target: Target) -> Iterator[DeadLetter]:
        """Redrive each execution, then yield it. A redriven execution is no longer unsuccessful."""
        for message in messages:
            target.send(message)
            yield message

    def release(self) -> None:
        """Do nothing: listing executions does not hide them."""

    def _describe(self) -> Iterator[DeadLetter]:
        for arn in self._arns:
            execution = self._states.describe_execution(executionArn=arn)
            if execution["status"] in UNSUCCESSFUL:  # not redriven meanwhile
                yield _dead_letter(execution)


_EVENT_PARSERS = (dead_letter.parse_failed_invocation, dead_letter.parse_rejected_event)
_PARSERS: dict[tuple[str, str], tuple[Parser, ...]] = {
    ("sqs", "dead-letters"): (dead_letter.parse_queued,),
    ("sqs", "undelivered"): (dead_letter.parse_undelivered,),
    ("lambda", "dead-letters"): (dead_letter.parse_failed_invocation, dead_letter.parse_failed_task),
    ("lambda", "undelivered"): (dead_letter.parse_notification,),
}
"""By the kind of the subscriber and the origin."""


def find_source(deployment: Deployment, *, subscriber: str | None, origin: Origin) -> DeadLetterSource:
    """Return the source of a subscriber's dead letters, or without a subscriber that of the publish function's.

    Raises:
        NoSuchSource: the deployment has no such subscriber, or the subscriber has no such source.
    """
    names = Names(deployment)
    if subscriber is None:
        publisher = names.publisher
        return _queue(publisher.dead_letter_queue, _EVENT_PARSERS, _function(publisher.publish_function))
    config = next((config for config in deployment.subscribers if config.name == subscriber), None)
    if config is None:
        known = ", ".join(names.subscribers)
        raise NoSuchSource(f"{subscriber!r} is not a subscriber of this deployment. Subscribers: {known}.")
    own = names.subscribers[subscriber]
    if origin == "pipeline":
        if not isinstance(config, SqsSubscriberConfig) or not config.pipeline:
            raise NoSuchSource(f"{subscriber!r} does not start a pipeline. Remove --from pipeline.")
        trigger = _function(own.pipeline_trigger_function)
        return _queue(own.pipeline_trigger_dead_letter_queue, _EVENT_PARSERS, trigger)
    if origin == "executions":
        if config.kind != "sqs":
            raise NoSuchSource(f"{subscriber!r} is of kind {config.kind} and has no state machine. Remove --from.")
        return _state_machine(own.state_machine)
    if config.kind == "https":
        raise NoSuchSource(
            f"{subscriber!r} is of kind https. Its own process has to receive undelivered messages from "
            f"{own.undelivered_queue.name}."
        )
    return _queue(
        own.undelivered_queue if origin == "undelivered" else own.dead_letter_queue,
        _PARSERS[config.kind, origin],
        _function(own.consume_function) if config.kind == "lambda" else _target_queue(own.queue),
    )


def _queue(queue: Resource, parsers: tuple[Parser, ...], target: Callable[[Client], Target]) -> DeadLetterSource:
    def reader(client: Client) -> QueueReader:
        sqs = client("sqs", _region(queue))
        url = sqs.get_queue_url(QueueName=queue.name)["QueueUrl"]
        return QueueReader(url=url, sqs=sqs, parsers=parsers, until=datetime.now(tz=UTC))

    return DeadLetterSource(resource=queue, reader=reader, target=target)


def _state_machine(machine: Resource) -> DeadLetterSource:
    def reader(client: Client) -> ExecutionReader:
        return ExecutionReader(state_machine_arn=machine.arn, states=client("stepfunctions", _region(machine)))

    def target(client: Client) -> StateMachineTarget:
        return StateMachineTarget(machine.name, states=client("stepfunctions", _region(machine)))

    return DeadLetterSource(resource=machine, reader=reader, target=target, noun="unsuccessful execution")


def _target_queue(queue: Resource) -> Callable[[Client], Target]:
    return lambda client: QueueTarget(queue.name, sqs=client("sqs", _region(queue)))


def _function(function: Resource) -> Callable[[Client], Target]:
    return lambda client: FunctionTarget(function.name, lambda_=client("lambda", _region(function)))


def _region(resource: Resource) -> str:
    return resource.arn.split(":")[3]


def _dead_letter(execution: dict[str, Any]) -> DeadLetter:
    # Report aborted executions as ABORTED, even if the caller of StopExecution gave an error name.
    aborted = execution["status"] == "ABORTED"
    kind = execution["status"] if aborted else execution.get("error") or execution["status"]
    return DeadLetter(
        id=execution["name"],
        receipt=execution["executionArn"],
        body="",
        attributes={},
        sent=execution["stopDate"],
        group=None,
        reason=f"{kind}: {execution.get('cause', '')}",
        kept_because=NOT_REDRIVABLE if execution["redriveStatus"] == "NOT_REDRIVABLE" else None,
    )
