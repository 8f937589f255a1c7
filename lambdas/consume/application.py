"""The application of a consume function, which gets each proved payload."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

import boto3

from claim_check import Message, Proof
from consume.ecs_task import EcsTask, Runner
from consume.idempotency import IdempotencyTable
from consume.settings import EcsTaskSettings, FunctionSettings, StateMachineSettings
from consume.state_machine import StateMachine
from shared.handoff import Staging
from shared.settings import InvalidSettings


class Application(Protocol):
    """An application. Each call is idempotent on the message's id."""

    def find_earlier(self, message: Message) -> str | None:
        """Return the ARN of an earlier hand-off of this message, or None.

        Raises:
            ClaimCheckError: The application accepts no such message.
        """
        ...

    def hand_off(self, message: Message, *, proof: Proof, result: Any, remaining_ms: Callable[[], int]) -> str:
        """Hand the payload off, and return the ARN of the execution or task.

        Args:
            message: The message.
            proof: The proof of its payload.
            result: The JSON-ready result of own code, or None.
            remaining_ms: The time in milliseconds that remains for this message.
        """
        ...


class OwnCodeAlone:
    """No application after own code."""

    def find_earlier(self, message: Message) -> None:
        """Return None: own code recognises a repeated message itself."""

    def hand_off(self, message: Message, **_: object) -> str:  # noqa: ARG002
        """Return the name that the log has in place of an ARN."""
        return "own code"


def application_from(environment: Mapping[str, str]) -> Application:
    """Return the application that the environment names. Raises InvalidSettings."""
    match name := environment.get("APPLICATION"):
        case "state_machine":
            machine = StateMachineSettings.from_environment(environment)
            return StateMachine(
                arn=machine.state_machine_arn,
                staging=Staging.of(machine.staging_store),
                states=boto3.client("stepfunctions"),
            )
        case "ecs_task":
            return _ecs_task(EcsTaskSettings.from_environment(environment))
        case "function":
            FunctionSettings.from_environment(environment)
            return OwnCodeAlone()
    raise InvalidSettings(f"APPLICATION = {name!r}: is no application. Deploy the function's stack, which sets it.")


def _ecs_task(settings: EcsTaskSettings) -> EcsTask:
    return EcsTask(
        runner=Runner(
            cluster=settings.cluster_arn,
            task_definition=settings.task_definition_arn,
            container=settings.container,
            network=cast("Any", settings.network),
            ecs=boto3.client("ecs"),
        ),
        idempotency=IdempotencyTable(
            name=settings.idempotency_table, seconds=settings.idempotency_seconds, dynamodb=boto3.client("dynamodb")
        ),
        staging=Staging.of(settings.staging_store),
    )
