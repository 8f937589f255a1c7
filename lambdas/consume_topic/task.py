"""Start of an ECS task with a hand-off in its environment."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared.handoff import HandOff

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import AwsVpcConfigurationTypeDef


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


def run_task(handoff: HandOff, *, runner: Runner, remaining_ms: Callable[[], int]) -> str:
    """Run a task and return its ARN. The message's id is the client token, so that a repeated call runs no second task.

    If ECS throttles the call, has no capacity or has reached an account's quota, the call is retried until the
    function's time is over. The pauses grow. `remaining_ms` is `context.get_remaining_time_in_millis` of Lambda.

    Raises:
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
    environment = handoff.to_environment()
    try:
        response = runner.ecs.run_task(
            cluster=runner.cluster,
            taskDefinition=runner.task_definition,
            clientToken=handoff.message_id,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": runner.network},
            overrides={
                "containerOverrides": [
                    {
                        "name": runner.container,
                        "environment": [{"name": name, "value": value} for name, value in environment.items()],
                    }
                ]
            },
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
