"""A handover runs an ECS task whose environment says where the payload is."""

import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared.deadline import Deadline
from shared.handoff import Handover

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import AwsVpcConfigurationTypeDef


_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 20.0  # seconds
_BUSY = {"ThrottlingException", "ServerException", "ServiceUnavailableException", "LimitExceededException"}
# ECS says these in a ClientException, which else is a mistake of ours.
_NO_ROOM = ("reached the limit", "Capacity is unavailable")


class TaskNotStarted(Exception):
    """ECS accepted the request and placed no task. Trying again may help."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """What runs: a container of a task definition, on Fargate; `network` as `ecs:RunTask` takes it."""

    cluster: str
    task_definition: str
    container: str
    network: "AwsVpcConfigurationTypeDef"


def run_task(handover: Handover, *, runner: Runner, ecs: "ECSClient", deadline: Deadline) -> str:
    """Run a task, with the message's id as client token so that a repeated call runs no second one; answers its ARN.

    Where ECS is at a limit (throttled, no capacity, no room in the account), tries again with longer and longer pauses,
    as long as the deadline leaves time.

    Raises:
        TaskNotStarted: with the reasons ECS gave.
        botocore.exceptions.ClientError: ECS refused, for good or until there was no more time.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return _start_task(handover, runner=runner, ecs=ecs)
        except (TaskNotStarted, ClientError) as error:
            if not (_may_pass(error) and deadline.leaves(pause)):
                raise
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - so that those who wait do not all come back at once
        pause = min(2 * pause, _LONGEST_PAUSE)


def _may_pass(error: TaskNotStarted | ClientError) -> bool:
    """Whether it is a limit, and not a mistake."""
    if isinstance(error, TaskNotStarted):
        return True
    said = error.response["Error"]
    return said["Code"] in _BUSY or any(words in said.get("Message", "") for words in _NO_ROOM)


def _start_task(handover: Handover, *, runner: Runner, ecs: "ECSClient") -> str:
    pointer = handover.pointer
    environment = {
        "MESSAGE_ID": handover.message_id,
        "PAYLOAD_BUCKET": pointer.bucket,
        "PAYLOAD_KEY": pointer.key,
        "PAYLOAD_OWNER": pointer.owner,
        "PAYLOAD_REGION": pointer.region,
        "PAYLOAD_BYTES": str(handover.bytes),
        "PAYLOAD_SHA256": handover.sha256,
    }
    try:
        answer = ecs.run_task(
            cluster=runner.cluster,
            taskDefinition=runner.task_definition,
            clientToken=handover.message_id,
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
    except ecs.exceptions.ConflictException as conflict:
        return _earlier_task(conflict, handover, runner=runner, ecs=ecs)
    if not answer["tasks"]:
        raise TaskNotStarted(f"ECS placed no task for message {handover.message_id}: {json.dumps(answer['failures'])}")
    return answer["tasks"][0]["taskArn"]


def _earlier_task(conflict: ClientError, handover: Handover, *, runner: Runner, ecs: "ECSClient") -> str:
    """The task that runs for the message's id already, and was run before the task definition or the network changed.

    Raises the conflict where ECS describes that task no more, or it has another payload.
    """
    known: list[str] = conflict.response.get("resourceIds", [])  # type: ignore[assignment]
    tasks = ecs.describe_tasks(cluster=runner.cluster, tasks=known)["tasks"] if known else []
    for task in tasks:
        overrides = task["overrides"]["containerOverrides"]
        if {"name": "PAYLOAD_SHA256", "value": handover.sha256} in [
            pair for each in overrides for pair in each.get("environment", ())
        ]:
            return task["taskArn"]
    raise conflict
