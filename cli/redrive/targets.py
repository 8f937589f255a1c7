"""The queue, function or state machine that receives dead letters.

An error of `send` leaves the dead letter in its queue.
"""

from collections.abc import Callable
from typing import Any

from cli.redrive.dead_letter import DeadLetter
from consume_queue.dead_letter import REASON
from shared.message_text import message_text
from stacks.deployment import Resource

Client = Callable[[str, Resource], Any]
"""Returns the boto3 client of a service in the Region of a resource."""


class QueueTarget:
    """The subscriber's queue. Messages are sent without the `DeadLetterReason` attribute."""

    def __init__(self, queue: Resource, client: Client) -> None:
        self.name = f"the queue {queue.name}"
        self._sqs = client("sqs", queue)
        self._url = self._sqs.get_queue_url(QueueName=queue.name)["QueueUrl"]

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
    """A function. It is invoked asynchronously, as originally, with the same retries and dead letters."""

    def __init__(self, function: Resource, client: Client) -> None:
        self.name = f"the function {function.name}"
        self._function, self._lambda = function.name, client("lambda", function)
        # Raises an error before a message is sent if the function does not exist.
        self._lambda.get_function_configuration(FunctionName=function.name)

    def send(self, message: DeadLetter) -> None:
        """Invoke the function with the dead letter's event."""
        payload = message_text(message.event).encode()
        self._lambda.invoke(FunctionName=self._function, InvocationType="Event", Payload=payload)


class StateMachineTarget:
    """A state machine whose executions continue at the state that failed, with their definition and input."""

    def __init__(self, machine: Resource, client: Client) -> None:
        self.name = f"the state machine {machine.name}"
        self._states = client("stepfunctions", machine)

    def send(self, message: DeadLetter) -> None:
        """Redrive the execution."""
        self._states.redrive_execution(executionArn=message.receipt)


Target = QueueTarget | FunctionTarget | StateMachineTarget
