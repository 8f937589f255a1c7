"""ECS's gaps. (There is no container engine: a task is recorded and can be described, and never runs.)"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import ecs

from local.patches.patch import instead_of

_REMEMBERED_SECONDS = 24 * 3600


def install() -> None:
    """Fill every gap of this file."""
    client_token_is_idempotent()
    running_a_task_is_allowed_by_its_definition()


def client_token_is_idempotent() -> None:
    """AWS: RunTask with a clientToken seen within 24 hours, and no later than an hour after its task's end, answers
    with the first call's task and starts none; with other parameters it is a ConflictException that names that task.

    The emulator: ignores the token and records another task. Filled in for 24 hours: no task ends here.
    """
    seen: dict[tuple[str, ...], tuple[float, str, Any]] = {}
    lock = threading.Lock()

    @instead_of(ecs, "_run_task")
    def run_task(original: Any, data: dict[str, Any]) -> Any:
        token = data.get("clientToken")
        if not token:
            return original(data)
        key = (get_account_id(), get_region(), data.get("cluster", "default"), token)
        parameters = json.dumps({name: value for name, value in data.items() if name != "clientToken"}, sort_keys=True)
        with lock:
            when, first_parameters, first_answer = seen.get(key, (0.0, "", None))
            if when > time.time() - _REMEMBERED_SECONDS:
                if parameters == first_parameters:
                    return first_answer
                status, headers, body = error_response_json(
                    "ConflictException", f"The clientToken {token} was used before with other parameters.", 400
                )
                tasks = [task["taskArn"] for task in json.loads(first_answer[2])["tasks"]]
                return status, headers, json.dumps({**json.loads(body), "resourceIds": tasks}).encode()
            answer = original(data)
            if answer[0] == 200:
                seen[key] = (time.time(), parameters, answer)
            return answer

    ecs._ACTION_MAP["RunTask"] = run_task


def running_a_task_is_allowed_by_its_definition() -> None:
    """AWS: the resource of ecs:RunTask is the task definition, with its revision.

    The emulator: the cluster, so that the policy AWS wants never allows.
    """

    @instead_of(iam_actions, "extract_resource_arn")
    def resource(original: Any, service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        if service != "ecs" or not headers.get("x-amz-target", "").endswith(".RunTask"):
            return original(service, method, path, headers, body, *rest)
        name = json.loads(body).get("taskDefinition", "")
        revision = name if name.startswith("arn:") else ecs._resolve_td_key(name)
        if revision.startswith("arn:"):
            return revision
        return f"arn:aws:ecs:{get_region()}:{get_account_id()}:task-definition/{revision}"
