"""The queues and state machines of a deployment that contain dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from cli.redrive import Origin, dead_letter
from cli.redrive.dead_letter import DeadLetter, Parser
from cli.redrive.targets import Client, FunctionTarget, QueueTarget, StateMachineTarget, Target
from stacks.deployment import Deployment, Names, Resource, SubscriberConfig, SubscriberNames
from stacks.deployment.state_machine import UNSUCCESSFUL

HELD_SECONDS = 900
"""How long received messages are hidden from other receivers, such as a second redrive."""
BATCH = 1000
"""Maximum number of messages received at a time. They can be sent and deleted long before HELD_SECONDS."""
WAIT_SECONDS = 1
"""With any wait SQS reads all its servers, so that an empty response means an empty queue."""
REDRIVABLE = timedelta(days=14)
"""How long after its end Step Functions can redrive an execution."""
NOT_REDRIVABLE = "not sent: Step Functions cannot redrive it, see its redriveStatusReason"


class NoSuchSource(ValueError):
    """The deployment has no such queue or state machine."""


class Held(Protocol):
    """A message that was received, and is hidden from other receivers."""

    @property
    def id(self) -> str:
        """SQS's id of the message."""

    @property
    def receipt(self) -> str:
        """The receipt handle."""

    @property
    def sent(self) -> datetime:
        """The time of its arrival in the queue."""


H = TypeVar("H", bound=Held)


class QueueReader(Generic[H]):
    """Reads the messages of a queue. `parse` makes a message from SQS's.

    present_only: do not read messages that arrive later, such as those that fail again after a redrive. `release` makes
        them visible again.
    wait_seconds: how long to wait for a message when the queue is empty. WAIT_SECONDS by default.
    """

    def __init__(
        self,
        queue: Resource,
        parse: Callable[[Mapping[str, Any]], H],
        client: Client,
        *,
        present_only: bool = False,
        wait_seconds: int | None = None,
    ) -> None:
        self._sqs, self._parse = client("sqs", queue), parse
        self._wait = WAIT_SECONDS if wait_seconds is None else wait_seconds
        found = self._sqs.get_queue_url(QueueName=queue.name)
        self._url = found["QueueUrl"]
        self._until = _now(found) if present_only else datetime.max.replace(tzinfo=UTC)
        self._held: dict[str, H] = {}

    def count(self) -> int:
        """Return the approximate number of messages in the queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def receive(self, limit: int) -> list[H]:
        """Receive up to `limit` messages in queue order and hide them for HELD_SECONDS.

        In a FIFO queue the later messages of a message group are received only after the earlier ones are deleted.
        """
        messages: list[H] = []
        while len(messages) < limit:
            response = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(10, limit - len(messages)),
                VisibilityTimeout=HELD_SECONDS,
                WaitTimeSeconds=self._wait,
                MessageSystemAttributeNames=["SentTimestamp", "MessageGroupId"],
                MessageAttributeNames=["All"],
            )
            received = [self._parse(message) for message in response.get("Messages", [])]
            # No message, or messages that were received more than HELD_SECONDS ago.
            if all(message.id in self._held for message in received):
                break
            self._held |= {message.id: message for message in received}
            messages += (message for message in received if message.sent < self._until)
        return messages

    def remove(self, message: H) -> None:
        """Delete a message that was sent. Otherwise the next redrive sends it again, and consumers recognise its id."""
        self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)
        self.forget(message)

    def hide(self, message: H, seconds: int) -> None:
        """Hide a message from other receivers for `seconds` from now."""
        self._sqs.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds
        )

    def forget(self, message: H) -> None:
        """Do not release the message. It can be received again when it is no longer hidden."""
        del self._held[message.id]

    def release(self) -> None:
        """Make the received messages visible again now. Otherwise SQS does so after HELD_SECONDS."""
        messages = list(self._held.values())
        for start in range(0, len(messages), 10):
            entries = [
                {"Id": str(index), "ReceiptHandle": message.receipt, "VisibilityTimeout": 0}
                for index, message in enumerate(messages[start : start + 10])
            ]
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)


def response_time(response: Mapping[str, Any]) -> datetime:
    """Return when AWS responded, by its own clock, in whole seconds."""
    return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])


def _now(response: Mapping[str, Any]) -> datetime:
    """Return the time of SQS's clock, which its messages have. This machine's clock can be minutes off.

    A response has whole seconds. If both clocks agree, this machine's has the fraction.
    """
    here, there = datetime.now(tz=UTC), response_time(response)
    return here if abs(here - there) < timedelta(seconds=2) else there


class ExecutionReader:
    """Reads a state machine's unsuccessful executions. Executions that fail again meanwhile are not read."""

    def __init__(self, machine: Resource, client: Client) -> None:
        self._states = client("stepfunctions", machine)
        since = datetime.now(tz=UTC) - REDRIVABLE
        pages = self._states.get_paginator("list_executions")
        # List all before the first redrive, which removes executions from these pages.
        self._arns = [
            execution["executionArn"]
            for status in UNSUCCESSFUL
            for page in pages.paginate(stateMachineArn=machine.arn, statusFilter=status)
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

    def remove(self, _: DeadLetter) -> None:
        """Do nothing: a redriven execution is no longer unsuccessful."""

    def release(self) -> None:
        """Do nothing: listing executions does not hide them."""

    def _describe(self) -> Iterator[DeadLetter]:
        for arn in self._arns:
            execution = self._states.describe_execution(executionArn=arn)
            if execution["status"] in UNSUCCESSFUL:  # not redriven meanwhile
                yield _dead_letter(execution)


@dataclass(frozen=True, kw_only=True)
class DeadLetterSource:
    """A queue or a state machine, its reader, and the target of its dead letters."""

    resource: Resource
    reader: Callable[[Client], QueueReader[DeadLetter] | ExecutionReader]
    target: Callable[[Client], Target]
    noun: str = "message"


@dataclass(frozen=True)
class DeadLetterQueue:
    """A queue with dead letters, of a subscriber or of the publish function.

    `redrive` is the command that sends its messages back, or None: an HTTPS endpoint is no target.
    """

    resource: Resource
    reader: Callable[[Client], QueueReader[DeadLetter]]
    subscriber: str | None
    origin: Origin
    redrive: str | None


_EVENTS: tuple[Parser, ...] = (dead_letter.parse_failed_invocation, dead_letter.parse_rejected_event)
_DEAD_LETTERS: dict[str, tuple[Parser, ...]] = {
    "sqs": (dead_letter.parse_failed_task, dead_letter.parse_queued),
    "lambda": (dead_letter.parse_failed_invocation, dead_letter.parse_failed_task),
}
_UNDELIVERED: dict[str, tuple[Parser, ...]] = {
    "sqs": (dead_letter.parse_undelivered,),
    "lambda": (dead_letter.parse_notification,),
    "https": (dead_letter.parse_undelivered,),
}
"""The forms of messages, by the kind of the subscriber."""


def find_source(deployment: Deployment, *, subscriber: str | None, origin: Origin) -> DeadLetterSource:
    """Return the source of a subscriber's dead letters, or without a subscriber that of the publish function's.

    Raises:
        NoSuchSource: the deployment has no such subscriber, or the subscriber has no such source.
    """
    names = Names(deployment)
    if subscriber is None:
        publisher = names.publisher
        return _queue(publisher.dead_letter_queue, _EVENTS, partial(FunctionTarget, publisher.publish_function))
    config = next((config for config in deployment.subscribers if config.name == subscriber), None)
    if config is None:
        known = ", ".join(names.subscribers)
        raise NoSuchSource(f"{subscriber!r} is not a subscriber of this deployment. Subscribers: {known}.")
    own = names.subscribers[subscriber]
    if origin == "executions":
        if own.application != "state_machine":
            raise NoSuchSource(f"{subscriber!r} has no state machine. Remove --from.")
        return DeadLetterSource(
            resource=own.state_machine,
            reader=partial(ExecutionReader, own.state_machine),
            target=partial(StateMachineTarget, own.state_machine),
            noun="unsuccessful execution",
        )
    queues = _queues(config, own)
    if origin == "pipeline" and origin not in queues:
        raise NoSuchSource(f"{subscriber!r} does not start a pipeline. Remove --from pipeline.")
    if config.kind == "https":
        raise NoSuchSource(
            f"{subscriber!r} is of kind https. Its server must receive undelivered messages from "
            f"{own.undelivered_queue.name}."
        )
    target: Callable[[Client], Target] = partial(QueueTarget, own.queue)
    if origin == "pipeline":
        target = partial(FunctionTarget, own.pipeline_trigger_function)
    elif config.kind == "lambda":
        target = partial(FunctionTarget, own.consume_function)
    return _queue(*queues[origin], target)


def _queues(config: SubscriberConfig, own: SubscriberNames) -> dict[Origin, tuple[Resource, tuple[Parser, ...]]]:
    """Return a subscriber's queues with dead letters, and the forms of their messages."""
    undelivered = own.undelivered_queue, _UNDELIVERED[config.kind]
    if config.kind == "https":
        return {"undelivered": undelivered}
    queues: dict[Origin, tuple[Resource, tuple[Parser, ...]]] = {
        "dead-letters": (own.dead_letter_queue, _DEAD_LETTERS[config.kind]),
        "undelivered": undelivered,
    }
    return queues | ({"pipeline": (own.pipeline_trigger_dead_letter_queue, _EVENTS)} if config.pipeline else {})


def dead_letter_queues(deployment: Deployment) -> Iterator[DeadLetterQueue]:
    """Yield every queue of the deployment that can contain dead letters."""
    names = Names(deployment)
    queue = names.publisher.dead_letter_queue
    yield DeadLetterQueue(queue, _reader(queue, _EVENTS), None, "dead-letters", "coatcheck redrive --publisher")
    for config in deployment.subscribers:
        for origin, (queue, parsers) in _queues(config, names.subscribers[config.name]).items():
            options = "" if origin == "dead-letters" else f" --from {origin}"
            redrive = f"coatcheck redrive --subscriber {config.name}{options}" if config.kind != "https" else None
            yield DeadLetterQueue(queue, _reader(queue, parsers), config.name, origin, redrive)


def _reader(
    queue: Resource, parsers: tuple[Parser, ...], *, present_only: bool = False
) -> Callable[[Client], QueueReader[DeadLetter]]:
    return partial(
        QueueReader[DeadLetter], queue, partial(dead_letter.parse, parsers=parsers), present_only=present_only
    )


def _queue(queue: Resource, parsers: tuple[Parser, ...], target: Callable[[Client], Target]) -> DeadLetterSource:
    return DeadLetterSource(resource=queue, reader=_reader(queue, parsers, present_only=True), target=target)


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
