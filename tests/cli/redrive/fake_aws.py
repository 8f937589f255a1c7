"""AWS services in memory, behind clients that check parameters with botocore's service models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.validate import validate_parameters

ACCOUNT = "123456789012"
NORTH, WEST = "us-east-1", "us-west-2"
MACHINE = f"arn:aws:states:{WEST}:{ACCOUNT}:stateMachine:coatcheck-orders"
Attributes = dict[str, dict[str, Any]]


class FakeAws:
    """The services of one account. In place of `boto3.Session`."""

    def __init__(self) -> None:
        self.sqs = {region: FakeSqs() for region in (NORTH, WEST)}
        self.lambda_ = FakeLambda()
        self.states = FakeStates()

    def client(self, service: str, *, region_name: str, config: object = None) -> Client:
        if service == "stepfunctions":
            assert region_name == WEST
        fakes = {"sqs": self.sqs[region_name], "lambda": self.lambda_, "stepfunctions": self.states, "sts": FakeSts()}
        return Client(service, fakes[service])


class Client:
    """A client as boto3's. It rejects parameters that the service does not have."""

    def __init__(self, service: str, fake: object) -> None:
        self._operations, self._fake = _operations(service), fake

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation, fake = self._operations[name], getattr(self._fake, name)

        def call(**parameters: Any) -> Any:
            if operation.input_shape:
                validate_parameters(parameters, operation.input_shape)
            return fake(**{xform_name(key): value for key, value in parameters.items()})

        return call

    def get_paginator(self, name: str) -> Paginator:
        return Paginator(getattr(self, name))


@dataclass(frozen=True)
class Paginator:
    """Follows `nextToken`."""

    operation: Callable[..., Any]

    def paginate(self, **parameters: Any) -> Iterator[Any]:
        page = self.operation(**parameters)
        yield page
        while "nextToken" in page:
            page = self.operation(**parameters, nextToken=page["nextToken"])
            yield page


@cache
def _operations(service: str) -> dict[str, OperationModel]:
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


class FakeSts:
    def get_caller_identity(self) -> Any:
        return {"Account": ACCOUNT}


class FakeLambda:
    """All functions exist. `invoked`: function and event of each invocation."""

    def __init__(self) -> None:
        self.invoked: list[tuple[str, Any]] = []

    def get_function_configuration(self, *, function_name: str) -> None: ...

    def invoke(self, *, function_name: str, invocation_type: str, payload: bytes) -> None:
        assert invocation_type == "Event"
        self.invoked.append((function_name, json.loads(payload)))


@dataclass
class Message:
    """A message of a queue. `hidden`: it was received and not deleted."""

    id: str
    body: str
    attributes: Attributes
    group: str | None
    sent: datetime
    hidden: bool = False


@dataclass
class Queue:
    """A queue of messages. Hidden messages stay hidden, because no time passes."""

    name: str
    messages: list[Message] = field(default_factory=list)
    deduplication_ids: set[str | None] = field(default_factory=set)

    @property
    def bodies(self) -> list[str]:
        """The bodies of the messages that others can receive, in order."""
        return [message.body for message in self.messages if not message.hidden]


class FakeSqs:
    """The queues of a Region."""

    def __init__(self) -> None:
        self.queues: dict[str, Queue] = {}
        self._ids = count(1)

    def create(self, name: str) -> Queue:
        return self.queues.setdefault(name, Queue(name))

    def put(
        self,
        queue: Queue,
        body: object,
        attributes: Attributes | None = None,
        *,
        group: str | None = None,
        seconds_ago: float = 10,
    ) -> str:
        """Add a message, and return its id."""
        text = body if isinstance(body, str) else json.dumps(body)
        sent = datetime.now(tz=UTC) - timedelta(seconds=seconds_ago)
        message = Message(f"id-{next(self._ids)}", text, attributes or {}, group, sent)
        queue.messages.append(message)
        return message.id

    def get_queue_url(self, *, queue_name: str) -> Any:
        return {"QueueUrl": f"https://sqs/{self._find(queue_name).name}"}

    def get_queue_attributes(self, *, queue_url: str, attribute_names: list[str]) -> Any:
        hidden = [message.hidden for message in self._find(queue_url).messages]
        counts = {
            "ApproximateNumberOfMessages": hidden.count(False),
            "ApproximateNumberOfMessagesNotVisible": hidden.count(True),
        }
        return {"Attributes": {name: str(counts[name]) for name in attribute_names}}

    def send_message(
        self,
        *,
        queue_url: str,
        message_body: str,
        message_attributes: Attributes,
        message_group_id: str | None = None,
        message_deduplication_id: str | None = None,
    ) -> None:
        queue = self._find(queue_url)
        if queue.name.endswith(".fifo"):
            assert message_group_id
            assert message_deduplication_id
            if message_deduplication_id in queue.deduplication_ids:
                return
            queue.deduplication_ids.add(message_deduplication_id)
        else:
            assert not message_deduplication_id
        self.put(queue, message_body, message_attributes, group=message_group_id, seconds_ago=-1)

    def receive_message(
        self,
        *,
        queue_url: str,
        max_number_of_messages: int,
        visibility_timeout: int,
        wait_time_seconds: int,
        message_system_attribute_names: list[str],
        message_attribute_names: list[str],
    ) -> Any:
        """Receive from message groups that have no hidden message."""
        assert 1 <= max_number_of_messages <= 10
        assert wait_time_seconds > 0
        assert message_attribute_names == ["All"]
        queue = self._find(queue_url)
        locked = {message.group for message in queue.messages if message.hidden and message.group}
        visible = [message for message in queue.messages if not message.hidden and message.group not in locked]
        received = visible[:max_number_of_messages]
        for message in received:
            message.hidden = visibility_timeout > 0
        return {"Messages": [_received(message, message_system_attribute_names) for message in received]}

    def delete_message(self, *, queue_url: str, receipt_handle: str) -> None:
        queue = self._find(queue_url)
        queue.messages = [message for message in queue.messages if message.id != receipt_handle]

    def change_message_visibility_batch(self, *, queue_url: str, entries: list[dict[str, Any]]) -> None:
        assert 1 <= len(entries) <= 10
        assert len({entry["Id"] for entry in entries}) == len(entries)
        receipts = {entry["ReceiptHandle"] for entry in entries if entry["VisibilityTimeout"] == 0}
        for message in self._find(queue_url).messages:
            message.hidden = message.hidden and message.id not in receipts

    def _find(self, url: str) -> Queue:
        name = url.rpartition("/")[2]
        if name not in self.queues:
            message = "The specified queue does not exist."
            raise ClientError({"Error": {"Code": "QueueDoesNotExist", "Message": message}}, "GetQueueUrl")
        return self.queues[name]


def _received(message: Message, names: list[str]) -> dict[str, Any]:
    system = {"SentTimestamp": str(int(message.sent.timestamp() * 1000)), "MessageGroupId": message.group}
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.id,
        "Body": message.body,
        "Attributes": {name: system[name] for name in names if system[name]},
        **({"MessageAttributes": message.attributes} if message.attributes else {}),
    }


class FakeStates:
    """The executions of one state machine."""

    def __init__(self) -> None:
        self.executions: dict[str, dict[str, Any]] = {}
        self.redriven: list[str] = []

    def add(
        self, name: str, error: str | None = None, *, status: str = "FAILED", days: float = 1, **fields: object
    ) -> None:
        """Add an execution that ended some days ago."""
        end = datetime.now(tz=UTC) - timedelta(days=days)
        self.executions[name] = {
            "executionArn": f"{MACHINE.replace('stateMachine', 'execution')}:{name}",
            "stateMachineArn": MACHINE,
            "name": name,
            "status": status,
            "startDate": end - timedelta(days=1),
            "stopDate": end,
            "redriveStatus": "REDRIVABLE",
            **({"error": error, "cause": "its cause"} if error else {}),
            **fields,
        }

    def list_executions(self, *, state_machine_arn: str, status_filter: str, next_token: str = "0") -> Any:
        """Return a page of two."""
        assert state_machine_arn == MACHINE
        found = [dict(each) for each in self.executions.values() if each["status"] == status_filter]
        start = int(next_token)
        more = {"nextToken": str(start + 2)} if len(found) > start + 2 else {}
        return {"executions": found[start : start + 2], **more}

    def describe_execution(self, *, execution_arn: str) -> Any:
        return self.executions[execution_arn.rpartition(":")[2]]

    def redrive_execution(self, *, execution_arn: str) -> None:
        name = execution_arn.rpartition(":")[2]
        self.executions[name]["status"] = "RUNNING"
        self.redriven.append(name)
