"""The queue, function or state machine that dead letters are sent to.

An error of `send` leaves the dead letter in its queue.
"""

import json
from typing import Any, Protocol

from cli.redrive.dead_letter import REASON, DeadLetter


class Target(Protocol):
    """`send` returns once the target has accepted the message."""

    name: str

    def send(self, message: DeadLetter) -> None:
        """Send a dead letter to the target."""


class QueueTarget:
    """The subscriber's queue. Messages are sent without the `DeadLetterReason` attribute."""

    def __init__(self, name: str, *, sqs: Any) -> None:
        self.name = f"the queue {name}"
        self._url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        self._sqs = sqs

    def send(self, message: DeadLetter) -> None:
        """Send the message, in its message group if it has one.

        A FIFO queue deduplicates by the dead letter's id: a message that is sent twice after an interruption arrives
        once. A message that failed again has another id.
        """
        order = {"MessageGroupId": message.group} if message.group else {}
        if self._url.endswith(".fifo"):
            order["MessageDeduplicationId"] = f"redrive-{message.id}"
        self._sqs.send_message(
            QueueUrl=self._url,
            MessageBody=message.body,
            MessageAttributes={
                name: {key: value[key] for key in ("DataType", "StringValue", "BinaryValue") if key in value}
                for name, value in message.attributes.items()
                if name != REASON
            },
            **order,
        )


class FunctionTarget:
    """A function. It is invoked asynchronously, as the first time, and so with the same retries and dead letters."""

    def __init__(self, name: str, *, lambda_: Any) -> None:
        self.name = f"the function {name}"
        lambda_.get_function_configuration(FunctionName=name)  # fails before anything is sent if there is none
        self._function, self._lambda = name, lambda_

    def send(self, message: DeadLetter) -> None:
        """Invoke the function with the dead letter's event."""
        self._lambda.invoke(
            FunctionName=self._function,
            InvocationType="Event",
            Payload=json.dumps(message.event, ensure_ascii=False).encode(),
        )


class StateMachineTarget:
    """A state machine whose executions continue at the state that failed, with their definition and input."""

    def __init__(self, name: str, *, states: Any) -> None:
        self.name = f"the state machine {name}"
        self._states = states

    def send(self, message: DeadLetter) -> None:
        """Redrive the execution."""
        self._states.redrive_execution(executionArn=message.receipt)
