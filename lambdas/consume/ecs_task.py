"""The hand-off to an ECS task, in its environment."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from claim_check import Message, Proof
from consume.idempotency import IdempotencyTable
from shared.handoff import HandOff, InputTooLarge, Staging, prepare_handoff, reject_compressed

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import AwsVpcConfigurationTypeDef


OVERRIDES_CHARACTERS = 8192
"""Largest overrides of a task, as JSON. (ECS API reference, "TaskOverride".)"""
RESERVE_MS = 10_000
"""Time at the end of an invocation that is reserved for the response."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 20.0
_TRANSIENT_CODES = {"ThrottlingException", "ServerException", "ServiceUnavailableException", "LimitExceededException"}
# ECS reports these in a ClientException, whose other messages mean an invalid request.
_TRANSIENT_MESSAGES = ("reached the limit", "Capacity is unavailable")


class TaskNotStarted(Exception):
    """ECS accepted the request and placed no task. A retry can succeed."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """The parameters of `ecs:RunTask` that all tasks share, and the client. `container` gets the hand-off."""

    cluster: str
    task_definition: str
    container: str
    network: "AwsVpcConfigurationTypeDef"
    ecs: "ECSClient"


@dataclass(frozen=True, kw_only=True)
class EcsTask:
    """The ECS task as an application."""

    runner: Runner
    idempotency: IdempotencyTable
    staging: Staging

    def find_earlier(self, message: Message) -> str | None:
        """Return the ARN of the task that was started with this message, or None. Raises PayloadConflict."""
        reject_compressed(message)
        return self.idempotency.find_task(message)

    def hand_off(self, message: Message, *, proof: Proof, result: Any, remaining_ms: Callable[[], int]) -> str:
        """Run the message's task, and return its ARN. Raises InputTooLarge, TaskNotStarted and ClientError."""
        handoff = prepare_handoff(message, proof, result=result, staging=self.staging)
        task = run_task(handoff, runner=self.runner, remaining_ms=remaining_ms)
        self.idempotency.save(handoff, task)
        return task


def run_task(handoff: HandOff, *, runner: Runner, remaining_ms: Callable[[], int]) -> str:
    """Run a task and return its ARN. The message's id is the client token, so that a repeated call runs no second task.

    If ECS throttles the call, has no capacity or has reached an account's quota, the call is retried until the
    message's time is over, `remaining_ms`. The pauses grow.

    Raises:
        InputTooLarge: Own code's result exceeds the size of a task's overrides.
        TaskNotStarted: ECS placed no task in this time. The text has the reasons that ECS gave.
        botocore.exceptions.ClientError: ECS rejected the request, or throttled it all the time.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return _start_task(handoff, runner)
        except (TaskNotStarted, ClientError) as error:
            if not _is_transient(error) or remaining_ms() - RESERVE_MS < 1000 * pause:
                raise
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that parallel invocations do not retry together
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_transient(error: TaskNotStarted | ClientError) -> bool:
    if isinstance(error, TaskNotStarted):
        return True
    details = error.response["Error"]
    return details["Code"] in _TRANSIENT_CODES or any(
        text in details.get("Message", "") for text in _TRANSIENT_MESSAGES
    )


def _start_task(handoff: HandOff, runner: Runner) -> str:
    environment = [{"name": name, "value": value} for name, value in handoff.to_environment().items()]
    overrides = {"containerOverrides": [{"name": runner.container, "environment": environment}]}
    if (size := len(json.dumps(overrides, ensure_ascii=False))) > OVERRIDES_CHARACTERS:
        raise InputTooLarge(
            f"the result makes a task's overrides of {size} characters, more than {OVERRIDES_CHARACTERS}: "
            "store it, and return its place",
            message_id=handoff.message_id,
        )
    try:
        response = runner.ecs.run_task(
            cluster=runner.cluster,
            taskDefinition=runner.task_definition,
            clientToken=handoff.message_id,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": runner.network},
            overrides=cast("Any", overrides),
        )
    except runner.ecs.exceptions.ConflictException as conflict:
        return _earlier_task(conflict, handoff, runner)
    if not response["tasks"]:
        failures = json.dumps(response["failures"])
        raise TaskNotStarted(f"ECS placed no task for message {handoff.message_id}: {failures}")
    return response["tasks"][0]["taskArn"]


def _earlier_task(conflict: ClientError, handoff: HandOff, runner: Runner) -> str:
    """Return the task that runs under this message id, with an earlier task definition or network.

    Raises the conflict if ECS no longer describes that task, or if the task has another payload.
    """
    arns: list[str] = conflict.response.get("resourceIds", [])  # type: ignore[assignment]
    tasks = runner.ecs.describe_tasks(cluster=runner.cluster, tasks=arns)["tasks"] if arns else []
    for task in tasks:
        if HandOff.from_task(task).fingerprint == handoff.fingerprint:
            return task["taskArn"]
    raise conflict
