"""Payloads that subscribers' applications received, read from the subscribers' accounts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from local.accounts import Accounts
from local.https_endpoints import Endpoints
from shared.handoff import HandOff
from stacks.deployment import HttpsSubscriberConfig, Names, Resource, SubscriberConfig, SubscriberNames


@dataclass(frozen=True)
class ScenarioArrival:
    """A message whose application ended, with the digest and the size that the subscriber's function read."""

    message_id: str
    bytes: int
    sha256: str | None
    kind: str
    arn: str
    status: str
    at: datetime


class ScenarioArrivals:
    """The arrivals in the subscribers' accounts."""

    def __init__(self, accounts: Accounts, names: Names, endpoints: Endpoints) -> None:
        self._accounts, self._names, self._endpoints = accounts, names, endpoints

    def at(self, subscriber: SubscriberConfig) -> dict[str, ScenarioArrival]:
        """Return the subscriber's arrivals so far, by message id."""
        names = self._names.subscribers[subscriber.name]
        if subscriber.kind == "https":
            arrivals = self._files(subscriber)
        elif subscriber.application == "state_machine":
            arrivals = self._executions(names)
        elif subscriber.application == "ecs_task":
            arrivals = self._tasks(names)
        else:
            arrivals = self._processed(names)
        return {arrival.message_id: arrival for arrival in arrivals}

    def published(self) -> list[dict[str, Any]]:
        """Return the publish function's log entries of messages that it published."""
        return self._log(self._names.publisher.publish_function, "published")

    def _log(self, function: Resource, message: str) -> list[dict[str, Any]]:
        logs = self._accounts.client("logs", account=function.account, region=function.region)
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function.name}")["events"]
        entries = [json.loads(event["message"]) for event in events if event["message"].startswith("{")]
        return [entry for entry in entries if entry.get("message") == message]

    def _executions(self, names: SubscriberNames) -> Iterator[ScenarioArrival]:
        states = self._client("stepfunctions", names)
        for listed in states.list_executions(stateMachineArn=names.state_machine.arn)["executions"]:
            execution = states.describe_execution(executionArn=listed["executionArn"])
            handoff = HandOff.from_input(json.loads(execution["input"]))
            status, start = execution["status"], execution["startDate"]
            if status != "RUNNING":
                yield _arrival(handoff, "Step Functions execution", execution["executionArn"], status, start)

    def _tasks(self, names: SubscriberNames) -> Iterator[ScenarioArrival]:
        ecs = self._client("ecs", names)
        cluster = names.cluster.name
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
        ]
        # Without a container engine the emulator only records the task, which therefore never ends.
        for task in ecs.describe_tasks(cluster=cluster, tasks=sorted(set(arns)))["tasks"] if arns else ():
            yield _arrival(HandOff.from_task(task), "ECS task", task["taskArn"], task["lastStatus"], task["createdAt"])

    def _processed(self, names: SubscriberNames) -> Iterator[ScenarioArrival]:
        for entry in self._log(names.consume_function, "handed off"):
            checksum = (entry["checksum"] or "").removeprefix("sha256 ")
            at = datetime.strptime(entry["timestamp"], "%Y-%m-%d %H:%M:%S,%f%z")
            arn = names.consume_function.arn
            yield ScenarioArrival(entry["message_id"], entry["bytes"], checksum, "own code", arn, "PROCESSED", at)

    def _files(self, subscriber: HttpsSubscriberConfig) -> Iterator[ScenarioArrival]:
        for file, receipt in self._endpoints.received(subscriber):
            yield ScenarioArrival(
                message_id=receipt["message_id"],
                bytes=receipt["bytes"],
                sha256=receipt["sha256"],
                kind="HTTPS endpoint",
                arn=subscriber.endpoint,
                status="STORED",
                at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
            )

    def _client(self, service: str, names: SubscriberNames) -> Any:
        return self._accounts.client(service, account=names.place.account, region=names.place.region)


def _arrival(handoff: HandOff, kind: str, arn: str, status: str, at: datetime) -> ScenarioArrival:
    return ScenarioArrival(handoff.message_id, handoff.bytes, handoff.sha256, kind, arn, status, at)
