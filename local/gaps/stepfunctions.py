"""Step Functions' gap."""

from __future__ import annotations

from typing import Any

from ministack.core.responses import json_response
from ministack.services import stepfunctions

from local.gaps.fill import instead_of


def install() -> None:
    """Fill every gap of this file."""
    start_by_name_is_idempotent()


def start_by_name_is_idempotent() -> None:
    """AWS: StartExecution of a standard workflow with the name and input of an execution that still runs answers with
    that execution; otherwise a name used before is ExecutionAlreadyExists.

    The emulator: always ExecutionAlreadyExists.
    """

    @instead_of(stepfunctions, "_start_execution")
    def start(original: Any, data: dict[str, Any]) -> Any:
        answer = original(data)
        if answer[0] != 400 or b"ExecutionAlreadyExists" not in answer[2]:
            return answer
        machine = stepfunctions._resolve_state_machine_arn(data["stateMachineArn"])
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{data['name']}"
        execution = stepfunctions._executions[arn]
        if execution["status"] == "RUNNING" and execution["input"] == data.get("input", "{}"):
            return json_response({"executionArn": arn, "startDate": execution["startDate"]})
        return answer
