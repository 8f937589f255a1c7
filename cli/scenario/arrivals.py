"""What the applications behind the subscribers were handed, as their own accounts tell it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.accounts import Accounts
from local.https_endpoints import Endpoints
from stacks.deployment import (
    Deployment,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
    names,
)


@dataclass(frozen=True)
class Arrival:
    """A message that reached the application: the digest and size that the subscriber's function read."""

    message_id: str
    bytes: int
    sha256: str
    kind: str
    arn: str
    status: str
    at: datetime
    ended: bool


class Arrivals:
    """Looks into the subscribers' accounts."""

    def __init__(self, accounts: Accounts, deployment: Deployment, endpoints: Endpoints) -> None:
        self.accounts = accounts
        self._deployment = deployment
        self._endpoints = endpoints

    def at(self, subscriber: SubscriberConfig) -> dict[str, Arrival]:
        """By message id, what the subscriber's application was handed so far."""
        match subscriber.kind:
            case "sqs":
                found = self._executions(subscriber)
            case "lambda":
                found = self._tasks(subscriber)
            case "https":
                found = self._files(subscriber)
        return {arrival.message_id: arrival for arrival in found}

    def _executions(self, subscriber: SqsSubscriberConfig) -> Iterator[Arrival]:
        states = self.accounts.client("stepfunctions", account=subscriber.account, region=subscriber.region)
        for listed in states.list_executions(stateMachineArn=self._state_machine(subscriber))["executions"]:
            execution = states.describe_execution(executionArn=listed["executionArn"])
            handed = json.loads(execution["input"])
            yield Arrival(
                message_id=handed["message_id"],
                bytes=handed["summary"]["bytes"],
                sha256=handed["summary"]["sha256"],
                kind="Step Functions execution",
                arn=execution["executionArn"],
                status=execution["status"],
                at=execution["startDate"],
                ended=execution["status"] != "RUNNING",
            )

    def _state_machine(self, subscriber: SqsSubscriberConfig) -> str:
        name = names.state_machine(self._deployment, subscriber)
        return f"arn:aws:states:{subscriber.region}:{subscriber.account}:stateMachine:{name}"

    def _tasks(self, subscriber: LambdaSubscriberConfig) -> Iterator[Arrival]:
        ecs = self.accounts.client("ecs", account=subscriber.account, region=subscriber.region)
        cluster = names.cluster(self._deployment, subscriber)
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
        ]
        if not arns:
            return
        for task in ecs.describe_tasks(cluster=cluster, tasks=sorted(set(arns)))["tasks"]:
            handed = _environment(task)
            yield Arrival(
                message_id=handed["MESSAGE_ID"],
                bytes=int(handed["PAYLOAD_BYTES"]),
                sha256=handed["PAYLOAD_SHA256"],
                kind="ECS task",
                arn=task["taskArn"],
                status=task["lastStatus"],
                at=task["createdAt"],
                # Without a container engine the emulator records the task and never runs its container.
                ended=True,
            )

    def _files(self, subscriber: HttpsSubscriberConfig) -> Iterator[Arrival]:
        for file, receipt in self._endpoints.received(subscriber):
            yield Arrival(
                message_id=receipt["message_id"],
                bytes=receipt["bytes"],
                sha256=receipt["sha256"],
                kind="HTTPS endpoint",
                arn=subscriber.endpoint,
                status="KEPT",
                at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
                ended=True,
            )


def _environment(task: dict[str, Any]) -> dict[str, str]:
    (override,) = task["overrides"]["containerOverrides"]
    return {variable["name"]: variable["value"] for variable in override["environment"]}


def published(accounts: Accounts, deployment: Deployment) -> list[dict[str, Any]]:
    """What the publish function logged of each message it published: its structured log, a dictionary a line."""
    publisher = deployment.publisher
    logs = accounts.client("logs", account=publisher.account, region=publisher.region)
    group = f"/aws/lambda/{names.publish_function(deployment)}"
    events = logs.filter_log_events(logGroupName=group)["events"]
    lines = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
    return [line for line in lines if line.get("message") == "published"]
