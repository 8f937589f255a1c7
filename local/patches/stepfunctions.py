"""Patches of Step Functions."""

from __future__ import annotations

import contextvars
import json
import threading
from typing import Any

from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import s3, stepfunctions
from ministack.services.cloudformation import provisioners

from local.patches.patch import after_deployment, patch, replaces, rewrite


@patch
def start_by_name_is_idempotent() -> None:
    """Make StartExecution idempotent by name and input.

    AWS: StartExecution of a standard workflow returns a running execution of the same name and input. For any other use
    of an existing name it raises ExecutionAlreadyExists. The emulator: always raises ExecutionAlreadyExists.
    """

    @replaces(stepfunctions, "_start_execution")
    def start(original: Any, data: dict[str, Any]) -> Any:
        response = original(data)
        if response[0] != 400 or b"ExecutionAlreadyExists" not in response[2]:
            return response
        machine = stepfunctions._resolve_state_machine_arn(data["stateMachineArn"])
        arn = f"{machine.replace(':stateMachine:', ':execution:')}:{data['name']}"
        execution = stepfunctions._executions[arn]
        if execution["status"] == "RUNNING" and execution["input"] == data.get("input", "{}"):
            return json_response({"executionArn": arn, "startDate": execution["startDate"]})
        return response


@patch
def executions_of_unknown_machine_are_an_error() -> None:
    """Reject ListExecutions of a state machine that does not exist, such as one in another Region.

    AWS: raises StateMachineDoesNotExist. The emulator: returns an empty list.
    """

    @replaces(stepfunctions, "_list_executions")
    def list_executions(original: Any, data: dict[str, Any]) -> Any:
        arn = data.get("stateMachineArn")
        if arn and stepfunctions._resolve_state_machine_arn(arn) is None:
            return error_response_json("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'", 400)
        return original(data)


@patch
def map_writes_results() -> None:
    """Support the ResultWriter of a distributed map.

    AWS: the map writes the results of its items to S3, with the permissions of the state machine's role. It writes a
    manifest, a file of succeeded and a file of failed items. The map's result names the manifest.

    The emulator: ignores the ResultWriter; the map's result is the list of the items' outputs. With the patch the
    files are written without a check of the role.
    """

    @replaces(stepfunctions, "_run_distributed_map")
    def run(
        original: Any, state: dict[str, Any], raw: Any, effective: Any, iterator: Any, execution: Any, ctx: Any
    ) -> Any:
        if "ResultWriter" not in state:
            return original(state, raw, effective, iterator, execution, ctx)
        bare = {name: value for name, value in state.items() if name not in ("ResultSelector", "OutputPath")}
        before = set(stepfunctions._map_runs.keys())
        _, following = original({**bare, "ResultPath": None}, raw, effective, iterator, execution, ctx)
        (map_run,) = (
            arn
            for arn in set(stepfunctions._map_runs.keys()) - before
            if stepfunctions._map_runs[arn]["executionArn"] == execution["executionArn"]
        )
        target = stepfunctions._resolve_params_obj(state["ResultWriter"]["Parameters"], effective, ctx)
        details = _export(map_run, target["Bucket"], target.get("Prefix", ""))
        result = stepfunctions._apply_result_selector(state, {"MapRunArn": map_run, "ResultWriterDetails": details})
        output = stepfunctions._apply_result_path(state, raw, result)
        return stepfunctions._apply_output_path(state, output, ctx), following


def _export(map_run: str, bucket: str, prefix: str) -> dict[str, str]:
    """Write the files of a map run, and return bucket and key of its manifest."""
    folder = f"{prefix.rstrip('/')}/{map_run.rpartition(':')[2]}".lstrip("/")
    children = [child for child in stepfunctions._executions.values() if child.get("mapRunArn") == map_run]
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for status in ("FAILED", "SUCCEEDED"):
        ended = [_exported(child) for child in children if child["status"] == status]
        if ended:
            files[status].append(_put(bucket, f"{folder}/{status}_0.json", ended))
    manifest = {"DestinationBucket": bucket, "MapRunArn": map_run, "ResultFiles": files}
    return {"Bucket": bucket, "Key": _put(bucket, f"{folder}/manifest.json", manifest)["Key"]}


def _exported(child: dict[str, Any]) -> dict[str, Any]:
    members = (
        "executionArn",
        "input",
        "name",
        "output",
        "startDate",
        "stateMachineArn",
        "status",
        "stopDate",
        "error",
        "cause",
    )
    return {name[0].upper() + name[1:]: child[name] for name in members if child.get(name) is not None}


def _put(bucket: str, key: str, content: Any) -> dict[str, Any]:
    body = json.dumps(content).encode()
    response = s3._put_object(bucket, key, body, {"content-type": "application/json"})
    if response[0] != 200:
        raise stepfunctions._ExecutionError("States.ResultWriterFailed", f"{bucket}/{key}: {response[2]!r}")
    return {"Key": key, "Size": len(body)}


_UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")


@patch
def executions_can_be_redriven() -> None:
    """Support RedriveExecution.

    AWS: RedriveExecution continues an unsuccessful execution at the state that failed, within 14 days, with the
    definition and input of its start. DescribeExecution returns whether that is possible.

    The emulator: supports neither, and an execution uses the state machine's current definition.
    """
    rewrite(
        stepfunctions,
        "_run_execution",
        (
            '    sm = _state_machines.get(execution["stateMachineArn"])\n',
            '    now = _state_machines.get(execution["stateMachineArn"])\n'
            '    sm = execution.setdefault("first_definition", dict(now or {}))\n',
        ),
        (
            '    try:\n        while current_name and execution["status"] == "RUNNING":\n',
            '    current_name, current_input = execution.pop("continue_at", (current_name, current_input))\n'
            '    try:\n        while current_name and execution["status"] == "RUNNING":\n',
        ),
    )

    @replaces(stepfunctions, "handle_request")
    async def handle(original: Any, method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return stepfunctions._finalize_response(_redrive(json.loads(body)["executionArn"]))
        return await original(method, path, headers, body, query)

    @replaces(stepfunctions, "_describe_execution")
    def describe(original: Any, data: dict[str, Any]) -> Any:
        status, headers, body = original(data)
        if status != 200:
            return status, headers, body
        execution = stepfunctions._executions[data["executionArn"]]
        redrivable = "REDRIVABLE" if execution["status"] in _UNSUCCESSFUL else "NOT_REDRIVABLE"
        count = {"redriveCount": execution.get("redrives", 0)}
        return json_response(json.loads(body) | count | {"redriveStatus": redrivable})


def _redrive(arn: str) -> Any:
    execution = stepfunctions._executions.get(arn)
    if not execution:
        return error_response_json("ExecutionDoesNotExist", f"Execution {arn} not found", 400)
    if execution["status"] not in _UNSUCCESSFUL:
        reason = f"Execution is {execution['status']} and cannot be redriven"
        return error_response_json("ExecutionNotRedrivable", reason, 400)
    states = json.loads(execution["first_definition"]["definition"])["States"]
    entered = [
        event["stateEnteredEventDetails"] for event in execution["events"] if "stateEnteredEventDetails" in event
    ]
    *_, last = (state for state in entered if state["name"] in states)
    execution |= {"status": "RUNNING", "stopDate": None, "output": None, "redrives": execution.get("redrives", 0) + 1}
    execution["continue_at"] = last["name"], json.loads(last["input"])
    for name in ("error", "cause"):
        execution.pop(name, None)
    details = {"redriveCount": execution["redrives"]}
    stepfunctions._add_event(execution, "ExecutionRedriven", {"executionRedrivenEventDetails": details})
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(stepfunctions._run_execution, arn), daemon=True).start()
    return json_response({"redriveDate": now_iso()})


@patch
def template_sets_logs_and_traces() -> None:
    """Record the LoggingConfiguration and the TracingConfiguration of a template's state machine.

    AWS: DescribeStateMachine returns them. The emulator: records the first in the template's spelling, and ignores the
    second.
    """

    @after_deployment("AWS::StepFunctions::StateMachine")
    def record(arn: str, properties: dict[str, Any]) -> None:
        for key in ("loggingConfiguration", "tracingConfiguration"):
            if value := properties.get(key[0].upper() + key[1:]):
                stepfunctions._state_machines[arn][key] = provisioners._pascal_to_camel(value)
