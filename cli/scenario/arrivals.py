"""Payloads that subscribers' applications received, read from the subscribers' accounts."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cli.scenario.function_log import as_json, log_lines, logged_at
from cli.scenario.world import ScenarioWorld
from consume.state_machine import execution_name
from shared.handoff import HandOff
from stacks.deployment import (
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    Names,
    Resource,
    SubscriberConfig,
    SubscriberNames,
)
from stacks.deployment.ecs_task import DEFAULT_CONTEXT


@dataclass(frozen=True, kw_only=True)
class ScenarioArrival:
    """A message whose application ended, with the size and the digest that it was given, or that it read itself."""

    message_id: str
    bytes: int
    sha256: str | None
    digest_by: str
    """Who computed or compared the digest."""
    kind: str
    arn: str
    status: str
    succeeded: bool
    at: datetime
    ended_at: datetime | None = None


class ScenarioArrivals:
    """The arrivals in the subscribers' accounts since a time."""

    def __init__(self, world: ScenarioWorld, names: Names, since: datetime) -> None:
        self._world, self._names, self._since = world, names, since

    def at(self, subscriber: SubscriberConfig, message_ids: Iterable[str]) -> dict[str, ScenarioArrival]:
        """Return the subscriber's arrivals of these messages so far, by message id."""
        names = self._names.subscribers[subscriber.name]
        found: Iterable[ScenarioArrival | None]
        if subscriber.kind == "https":
            found = self._files(subscriber)
        elif subscriber.application == "state_machine":
            found = (self._execution(names, message_id) for message_id in message_ids)
        elif subscriber.application == "ecs_task":
            found = (self._task(subscriber, names, message_id) for message_id in message_ids)
        else:
            found = self._processed(names)
        wanted = set(message_ids)
        return {arrival.message_id: arrival for arrival in found if arrival and arrival.message_id in wanted}

    def published(self) -> list[dict[str, Any]]:
        """Return the publish function's log entries of messages that it published."""
        return self._log(self._names.publisher.publish_function, "published")

    def _log(self, function: Resource, message: str) -> list[dict[str, Any]]:
        logs = self._world.client("logs", account=function.account, region=function.region)
        entries = (as_json(text) for text in log_lines(logs, function.name, self._since))
        return [entry for entry in entries if isinstance(entry, dict) and entry.get("message") == message]

    def _execution(self, names: SubscriberNames, message_id: str) -> ScenarioArrival | None:
        states = self._client("stepfunctions", names)
        machine = names.state_machine.arn.replace(":stateMachine:", ":execution:")
        try:
            execution = states.describe_execution(executionArn=f"{machine}:{execution_name(message_id)}")
        except states.exceptions.ExecutionDoesNotExist:
            return None
        status: str = execution["status"]
        if status in ("RUNNING", "PENDING_REDRIVE"):
            return None
        handoff = HandOff.from_input(json.loads(execution["input"]))
        landed = _landed(execution.get("output"))
        return ScenarioArrival(
            message_id=message_id,
            bytes=landed["bytes"] if landed else handoff.bytes,
            sha256=landed["sha256"] if landed else handoff.sha256,
            digest_by="the state machine, of the landed copy" if landed else "the consume function",
            kind="Step Functions execution",
            arn=execution["executionArn"],
            status=status,
            succeeded=status == "SUCCEEDED",
            at=execution["startDate"],
            ended_at=execution["stopDate"],
        )

    def _task(
        self, subscriber: FunctionSubscriberConfig, names: SubscriberNames, message_id: str
    ) -> ScenarioArrival | None:
        dynamodb, ecs = self._client("dynamodb", names), self._client("ecs", names)
        item = dynamodb.get_item(TableName=names.idempotency_table.name, Key={"id": {"S": message_id}}).get("Item")
        tasks = ecs.describe_tasks(cluster=names.cluster.name, tasks=[item["task"]["S"]])["tasks"] if item else []
        if not tasks:
            return None
        (task,) = tasks
        runs = self._world.runs_task(subscriber)
        if runs and task["lastStatus"] != "STOPPED":
            return None
        handoff, read = HandOff.from_task(task), self._logged(task, names)
        codes = [container.get("exitCode") for container in task["containers"]]
        succeeded = codes == [0] * len(codes) or not runs
        if succeeded and runs and not read and subscriber.task.folder == DEFAULT_CONTEXT:
            return None  # its log is not there yet
        return ScenarioArrival(
            message_id=message_id,
            bytes=read.get("bytes", handoff.bytes),
            sha256=read.get("sha256", handoff.sha256),
            digest_by="the ECS task, which read the payload" if read else "the consume function",
            kind="ECS task",
            arn=task["taskArn"],
            status=f"exit code {codes[0]}" if succeeded and runs else _status(task),
            succeeded=succeeded,
            at=task.get("startedAt", task["createdAt"]),
            ended_at=task.get("stoppedAt"),
        )

    def _logged(self, task: dict[str, Any], names: SubscriberNames) -> dict[str, Any]:
        """Return the result that the default application has logged, or nothing."""
        logs = self._client("logs", names)
        stream = f"task/application/{task['taskArn'].rsplit('/', 1)[1]}"
        try:
            events = logs.get_log_events(logGroupName=f"/aws/ecs/{names.cluster.name}", logStreamName=stream)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return {}
        for event in reversed(events):
            match as_json(event["message"]):
                case {"bytes": int(size), "sha256": str(digest)}:
                    return {"bytes": size, "sha256": digest}
        return {}

    def _processed(self, names: SubscriberNames) -> Iterator[ScenarioArrival]:
        for entry in self._log(names.consume_function, "handed off"):
            yield ScenarioArrival(
                message_id=entry["message_id"],
                bytes=entry["bytes"],
                sha256=(entry["checksum"] or "").removeprefix("sha256 "),
                digest_by="the consume function",
                kind="own code",
                arn=names.consume_function.arn,
                status="PROCESSED",
                succeeded=True,
                at=logged_at(entry),
            )

    def _files(self, subscriber: HttpsSubscriberConfig) -> Iterator[ScenarioArrival]:
        for file, receipt in self._world.received(subscriber) or ():
            yield ScenarioArrival(
                message_id=receipt["message_id"],
                bytes=receipt["bytes"],
                sha256=receipt["sha256"],
                digest_by="the server, which read the payload",
                kind="HTTPS endpoint",
                arn=subscriber.endpoint,
                status="STORED",
                succeeded=True,
                at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
            )

    def _client(self, service: str, names: SubscriberNames) -> Any:
        return self._world.client(service, account=names.place.account, region=names.place.region)


def _landed(output: str | None) -> dict[str, Any] | None:
    """Return the landed copy in the built-in state machine's output, or None."""
    match as_json(output or ""):
        case {"landed": {"bytes": int(size), "sha256": str(digest)}}:
            return {"bytes": size, "sha256": digest}
    return None


def _status(task: dict[str, Any]) -> str:
    """Return why a task failed, or its status."""
    reasons = [container["reason"] for container in task["containers"] if container.get("reason")]
    codes = [f"exit code {container['exitCode']}" for container in task["containers"] if container.get("exitCode")]
    parts = [*codes, *([task["stoppedReason"]] if task.get("stoppedReason") else []), *reasons]
    return ", ".join(dict.fromkeys(parts)) or str(task["lastStatus"])
