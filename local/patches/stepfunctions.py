"""Step Functions' gap."""

from __future__ import annotations

import contextvars
import json
import threading
from typing import Any

from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import s3, stepfunctions

from local.patches.patch import instead_of, rewrite


def install() -> None:
    """Fill every gap of this file."""
    start_by_name_is_idempotent()
    map_results_are_written()
    executions_are_redriven()


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


def map_results_are_written() -> None:
    """AWS: a distributed map with a ResultWriter exports what became of its items to S3, a manifest and a file each of
    those that succeeded and failed, and its result says where; with the rights of the machine's role.

    The emulator: pays no attention to the ResultWriter; the result is the items' outputs. (It asks no role.)
    """

    @instead_of(stepfunctions, "_run_distributed_map")
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
        where = stepfunctions._resolve_params_obj(state["ResultWriter"]["Parameters"], effective, ctx)
        details = _export(map_run, where["Bucket"], where.get("Prefix", ""))
        result = stepfunctions._apply_result_selector(state, {"MapRunArn": map_run, "ResultWriterDetails": details})
        output = stepfunctions._apply_result_path(state, raw, result)
        return stepfunctions._apply_output_path(state, output, ctx), following


def _export(map_run: str, bucket: str, prefix: str) -> dict[str, str]:
    """Write the files of a map run; answers where its manifest is."""
    folder = f"{prefix.rstrip('/')}/{map_run.rpartition(':')[2]}".lstrip("/")
    children = [each for each in stepfunctions._executions.values() if each.get("mapRunArn") == map_run]
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for status in ("FAILED", "SUCCEEDED"):
        ended = [_exported(each) for each in children if each["status"] == status]
        if ended:
            files[status].append(_put(bucket, f"{folder}/{status}_0.json", ended))
    manifest = {"DestinationBucket": bucket, "MapRunArn": map_run, "ResultFiles": files}
    return {"Bucket": bucket, "Key": _put(bucket, f"{folder}/manifest.json", manifest)["Key"]}


def _exported(child: dict[str, Any]) -> dict[str, Any]:
    kept = (
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
    return {name[0].upper() + name[1:]: child[name] for name in kept if child.get(name) is not None}


def _put(bucket: str, key: str, content: Any) -> dict[str, Any]:
    body = json.dumps(content).encode()
    answer = s3._put_object(bucket, key, body, {"content-type": "application/json"})
    if answer[0] != 200:
        raise stepfunctions._ExecutionError("States.ResultWriterFailed", f"{bucket}/{key}: {answer[2]!r}")
    return {"Key": key, "Size": len(body)}


UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "ABORTED")


def executions_are_redriven() -> None:
    """AWS: RedriveExecution has an execution that ended badly within 14 days go on from the state that failed, with the
    definition and input that it began with; DescribeExecution says whether it can.

    The emulator: knows neither; and an execution takes the definition that there is when it comes to it.
    """
    rewrite(
        stepfunctions,
        "_run_execution",
        (
            '    sm = _state_machines.get(execution["stateMachineArn"])\n',
            '    now = _state_machines.get(execution["stateMachineArn"])\n'
            '    sm = execution.setdefault("began_with", dict(now or {}))\n',
        ),
        (
            '    try:\n        while current_name and execution["status"] == "RUNNING":\n',
            '    current_name, current_input = execution.pop("goes_on", (current_name, current_input))\n'
            '    try:\n        while current_name and execution["status"] == "RUNNING":\n',
        ),
    )

    @instead_of(stepfunctions, "handle_request")
    async def handle(original: Any, method: str, path: str, headers: Any, body: Any, query: Any) -> Any:
        if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return stepfunctions._finalize_response(_redrive(json.loads(body)["executionArn"]))
        return await original(method, path, headers, body, query)

    @instead_of(stepfunctions, "_describe_execution")
    def describe(original: Any, data: dict[str, Any]) -> Any:
        status, headers, body = original(data)
        if status != 200:
            return status, headers, body
        execution = stepfunctions._executions[data["executionArn"]]
        redrivable = "REDRIVABLE" if execution["status"] in UNSUCCESSFUL else "NOT_REDRIVABLE"
        count = {"redriveCount": execution.get("redrives", 0)}
        return json_response(json.loads(body) | count | {"redriveStatus": redrivable})


def _redrive(arn: str) -> Any:
    execution = stepfunctions._executions.get(arn)
    if not execution:
        return error_response_json("ExecutionDoesNotExist", f"Execution {arn} not found", 400)
    if execution["status"] not in UNSUCCESSFUL:
        refusal = f"Execution is {execution['status']} and cannot be redriven"
        return error_response_json("ExecutionNotRedrivable", refusal, 400)
    states = json.loads(execution["began_with"]["definition"])["States"]
    entered = [each["stateEnteredEventDetails"] for each in execution["events"] if "stateEnteredEventDetails" in each]
    *_, last = (each for each in entered if each["name"] in states)
    execution |= {"status": "RUNNING", "stopDate": None, "output": None, "redrives": execution.get("redrives", 0) + 1}
    execution["goes_on"] = last["name"], json.loads(last["input"])
    for ended in ("error", "cause"):
        execution.pop(ended, None)
    details = {"redriveCount": execution["redrives"]}
    stepfunctions._add_event(execution, "ExecutionRedriven", {"executionRedrivenEventDetails": details})
    run = contextvars.copy_context().run
    threading.Thread(target=run, args=(stepfunctions._run_execution, arn), daemon=True).start()
    return json_response({"redriveDate": now_iso()})
