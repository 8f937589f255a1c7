"""Where letters go: a queue, a function or a state machine that takes what is sent. What they raise leaves the letter
where it was."""

import json
from typing import Any, Protocol

from cli.redrive.letter import REASON, Letter


class Destination(Protocol):
    """`send` returns when the letter is taken, for good."""

    name: str

    def send(self, letter: Letter) -> None: ...


class Queue:
    """Gets the message as it was, without the reason of its last failure."""

    def __init__(self, name: str, *, sqs: Any) -> None:
        self.name = f"the queue {name}"
        self._url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        self._sqs = sqs

    def send(self, letter: Letter) -> None:
        """In its message group, where it has one. What is sent twice after an interruption is one message to a FIFO
        queue; what failed again, and is sent back once more, is another."""
        order = {"MessageGroupId": letter.group} if letter.group else {}
        if self._url.endswith(".fifo"):
            order["MessageDeduplicationId"] = f"redrive-{letter.id}"
        self._sqs.send_message(
            QueueUrl=self._url,
            MessageBody=letter.body,
            MessageAttributes={
                name: {key: value[key] for key in ("DataType", "StringValue", "BinaryValue") if key in value}
                for name, value in letter.attributes.items()
                if name != REASON
            },
            **order,
        )


class Function:
    """Is invoked as it was: asynchronously, so that it is tried as often, and its failure is a dead letter again."""

    def __init__(self, name: str, *, lambda_: Any) -> None:
        self.name = f"the function {name}"
        lambda_.get_function_configuration(FunctionName=name)  # it is there, or nothing is begun
        self._function, self._lambda = name, lambda_

    def send(self, letter: Letter) -> None:
        self._lambda.invoke(
            FunctionName=self._function,
            InvocationType="Event",
            Payload=json.dumps(letter.event, ensure_ascii=False).encode(),
        )


class StateMachine:
    """Has an execution go on from the state that failed, with the definition and the input that it began with."""

    def __init__(self, name: str, *, states: Any) -> None:
        self.name = f"the state machine {name}"
        self._states = states

    def send(self, letter: Letter) -> None:
        self._states.redrive_execution(executionArn=letter.receipt)
