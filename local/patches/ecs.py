"""Patches of ECS's requests."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import ecs

from local.patches.patch import patch, replaces, replaces_handler

_TOKEN_SECONDS = 24 * 3600


@patch
def client_token_is_idempotent() -> None:
    """Make RunTask idempotent by its clientToken.

    AWS: a repeated token returns the task of the first call and starts no other. A token is valid for 24 hours, or
    until an hour after the task's end if that is sooner. With other parameters the call raises ConflictException, which
    names that task.

    The emulator: ignores the token and records another task. The patch covers the 24 hours alone.
    """
    calls: dict[tuple[str, ...], tuple[float, str, Any]] = {}
    lock = threading.Lock()

    @replaces(ecs, "_run_task")
    def run_task(original: Any, data: dict[str, Any]) -> Any:
        token = data.get("clientToken")
        if not token:
            return original(data)
        key = (get_account_id(), get_region(), data.get("cluster", "default"), token)
        parameters = json.dumps({name: value for name, value in data.items() if name != "clientToken"}, sort_keys=True)
        with lock:
            when, first_parameters, first_response = calls.get(key, (0.0, "", None))
            if when > time.time() - _TOKEN_SECONDS:
                if parameters == first_parameters:
                    return first_response
                status, headers, body = error_response_json(
                    "ConflictException", f"The clientToken {token} was used before with other parameters.", 400
                )
                tasks = [task["taskArn"] for task in json.loads(first_response[2])["tasks"]]
                return status, headers, json.dumps({**json.loads(body), "resourceIds": tasks}).encode()
            response = original(data)
            if response[0] == 200:
                calls[key] = (time.time(), parameters, response)
            return response

    ecs._ACTION_MAP["RunTask"] = run_task


@patch
def cluster_with_tasks_is_kept() -> None:
    """Refuse to delete a cluster with tasks.

    AWS: DeleteCluster raises ClusterContainsTasksException while a task is active, and CloudFormation's deletion of the
    stack fails. The emulator: deletes the cluster.
    """

    @replaces(ecs, "_delete_cluster")
    def delete(original: Any, data: dict[str, Any]) -> Any:
        cluster = ecs._clusters.get(ecs._resolve_cluster_name(data.get("cluster", "default")), {})
        for task in ecs._tasks.values():
            if task["clusterArn"] == cluster.get("clusterArn") and task["lastStatus"] != "STOPPED":
                message = "The Cluster cannot be deleted while Tasks are active."
                return error_response_json("ClusterContainsTasksException", message, 400)
        return original(data)

    ecs._ACTION_MAP["DeleteCluster"] = delete

    @replaces_handler("AWS::ECS::Cluster", "delete")
    def delete_resource(_original: Any, physical_id: str, _properties: Any) -> None:
        status, _, body = ecs._delete_cluster({"cluster": physical_id})
        if status == 400 and b"ClusterContainsTasks" in body:
            raise ValueError(json.loads(body)["message"])


@patch
def task_is_authorized_by_definition() -> None:
    """Authorize ecs:RunTask by the task definition.

    AWS: the action's resource is the task definition with its revision. The emulator: the resource is the cluster, so
    that a policy that names a task definition never allows the action.
    """

    @replaces(iam_actions, "extract_resource_arn")
    def resource(original: Any, service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        if service != "ecs" or not headers.get("x-amz-target", "").endswith(".RunTask"):
            return original(service, method, path, headers, body, *rest)
        name = json.loads(body).get("taskDefinition", "")
        revision = name if name.startswith("arn:") else ecs._resolve_td_key(name)
        if revision.startswith("arn:"):
            return revision
        return f"arn:aws:ecs:{get_region()}:{get_account_id()}:task-definition/{revision}"
