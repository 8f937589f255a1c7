"""The account of a redrive. SQS is moto's; moto's Lambda and Step Functions lack what a redrive needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import boto3
from botocore import xform_name
from moto.sqs.models import sqs_backends

ACCOUNT = "123456789012"  # moto's
NORTH, WEST = "us-east-1", "us-west-2"
MACHINE = f"arn:aws:states:{WEST}:{ACCOUNT}:stateMachine:coatcheck-orders"
Attributes = dict[str, dict[str, Any]]
_SESSION: Any = boto3.Session()


@cache
def client(service: str, region: str, user: str = "test") -> Any:
    """Return the client of a user, so that a test can patch that of the redrive alone."""
    return _SESSION.client(service, region_name=region)


class FakeAws:
    """The caller's clients. In place of `boto3.Session`."""

    def __init__(self) -> None:
        self.lambda_, self.states = FakeLambda(), FakeStates()

    def client(self, service: str, *, region_name: str, config: object = None) -> Any:
        fake = {"lambda": self.lambda_, "stepfunctions": self.states}.get(service)
        if fake is None:
            return client(service, region_name, "redrive")
        faked = _SESSION.client(service, region_name=region_name)
        faked.meta.events.register("before-call", partial(_respond, fake))
        return faked


def _respond(fake: object, model: Any, params: dict[str, Any], **_: Any) -> Any:
    """Return a response instead of sending a request, whose parameters botocore has validated."""
    return SimpleNamespace(status_code=200), getattr(fake, xform_name(model.name))(params)


class FakeLambda:
    """All functions exist. `invoked`: function and event of each invocation."""

    def __init__(self) -> None:
        self.invoked: list[tuple[str, Any]] = []

    def get_function_configuration(self, _: object) -> Any:
        return {}

    def invoke(self, request: Any) -> Any:
        assert request["headers"]["X-Amz-Invocation-Type"] == "Event"
        event = json.loads(request["body"], parse_constant=int)  # an error: `Infinity` is not JSON
        self.invoked.append((request["url_path"].split("/")[3], event))
        return {}


class Queue:
    """A queue of moto."""

    def __init__(self, name: str, region: str) -> None:
        self._sqs, self._name, self._region = client("sqs", region), name, region
        self._fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        self._url = self._sqs.create_queue(QueueName=name, Attributes=self._fifo)["QueueUrl"]

    def put(self, body: object, attributes: Attributes | None = None, *, group: str | None = None) -> str:
        """Send a message, and return its id."""
        text = body if isinstance(body, str) else json.dumps(body)
        order = {"MessageGroupId": group, "MessageDeduplicationId": f"{group} {text}"} if self._fifo else {}
        sent = self._sqs.send_message(QueueUrl=self._url, MessageBody=text, MessageAttributes=attributes or {}, **order)
        return str(sent["MessageId"])

    @property
    def messages(self) -> list[Any]:
        """The messages, also those that are hidden from receivers, as moto stores them."""
        return list(sqs_backends[ACCOUNT][self._region].queues[self._name]._messages)

    @property
    def bodies(self) -> list[str]:
        """The bodies of the messages that others can receive, in order."""
        return [message.body for message in self.messages if message.visible]

    def receive(self) -> list[Any]:
        """Receive up to ten messages with their attributes."""
        received = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        return list(received["Messages"])


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
            "name": name,
            "status": status,
            "stopDate": end,
            "redriveStatus": "REDRIVABLE",
            **({"error": error, "cause": "its cause"} if error else {}),
            **fields,
        }

    def list_executions(self, request: Any) -> Any:
        """Return a page of two."""
        body = json.loads(request["body"])
        assert body["stateMachineArn"] == MACHINE
        found = [dict(each) for each in self.executions.values() if each["status"] == body["statusFilter"]]
        start = int(body.get("nextToken", 0))
        more = {"nextToken": str(start + 2)} if len(found) > start + 2 else {}
        return {"executions": found[start : start + 2], **more}

    def describe_execution(self, request: Any) -> Any:
        return self.executions[_execution(request)]

    def redrive_execution(self, request: Any) -> Any:
        name = _execution(request)
        self.executions[name]["status"] = "RUNNING"
        self.redriven.append(name)
        return {}


def _execution(request: Any) -> str:
    return str(json.loads(request["body"])["executionArn"].rpartition(":")[2])
