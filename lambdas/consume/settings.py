"""Settings of the applications. `application` distinguishes them in a function's environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from claim_check import Store
from shared.settings import EnvironmentSettings


@dataclass(frozen=True, kw_only=True)
class StateMachineSettings(EnvironmentSettings):
    """The state machine, and the store of payloads that came inline."""

    application: Literal["state_machine"] = "state_machine"
    staging_store: Store
    state_machine_arn: str


@dataclass(frozen=True, kw_only=True)
class EcsTaskSettings(EnvironmentSettings):
    """The ECS task, the store of payloads that came inline, and the idempotency table."""

    application: Literal["ecs_task"] = "ecs_task"
    staging_store: Store
    cluster_arn: str
    task_definition_arn: str
    container: str
    """Name of the container that gets the hand-off in its environment."""
    network: Mapping[str, Any]
    """The `awsvpcConfiguration` of `ecs:RunTask`."""
    idempotency_table: str
    idempotency_seconds: int
    """Time until a record expires."""


@dataclass(frozen=True, kw_only=True)
class FunctionSettings(EnvironmentSettings):
    """Own code alone."""

    application: Literal["function"] = "function"


@dataclass(frozen=True, kw_only=True)
class OwnCodeSettings(EnvironmentSettings):
    """The application's own code."""

    process_seconds: int
    """Maximum time of `process` for one payload."""
