"""A handover runs an ECS task whose environment says where the payload is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handover import Handover

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient


class TaskNotStarted(Exception):
    """ECS accepted the request and placed no task. Trying again may help."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """What runs: a container of a task definition, on Fargate, in these subnets."""

    cluster: str
    task_definition: str
    container: str
    subnets: Sequence[str]
    security_group: str


def run_task(handover: Handover, *, runner: Runner, ecs: "ECSClient") -> str:
    """Run a task, with the message's id as client token so that a repeated call runs no second one; answers its ARN.

    Raises:
        TaskNotStarted: with the reasons ECS gave.
    """
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
    answer = ecs.run_task(
        cluster=runner.cluster,
        taskDefinition=runner.task_definition,
        clientToken=handover.message_id,
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": list(runner.subnets),
                "securityGroups": [runner.security_group],
                "assignPublicIp": "ENABLED",  # the way out of a network without NAT; nothing is let in
            }
        },
        overrides={
            "containerOverrides": [
                {
                    "name": runner.container,
                    "environment": [{"name": name, "value": value} for name, value in environment.items()],
                }
            ]
        },
    )
    if not answer["tasks"]:
        raise TaskNotStarted(f"ECS placed no task for message {handover.message_id}: {json.dumps(answer['failures'])}")
    return answer["tasks"][0]["taskArn"]
