"""Patches of CodeBuild. Without Docker, an image is recorded with its tag and digest, and has no layers."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import error_response_json, get_account_id, get_region
from ministack.services import codebuild, ecr, s3
from ministack.services.cloudformation import provisioners

from local.patches.patch import after_deployment, patch, replaces


@patch
def build_records_image() -> None:
    """Record an image for each build.

    AWS: a build runs the project's commands with the project's role. This project's builds build the Dockerfile of a
    zipped build context and push the image with a tag. StartBuild names context and tag.

    The emulator: runs nothing, pushes nothing, and reports SUCCEEDED. With the patch, the build fails if the context or
    its Dockerfile is missing. Otherwise an image is recorded; its digest depends on the context and the tag.
    """

    @replaces(codebuild, "_start_build")
    def start_build(original: Any, data: dict[str, Any]) -> Any:
        response = original(data)
        if response[0] != 200 or data.get("sourceTypeOverride") != "S3":
            return response
        build = codebuild._builds[json.loads(response[2])["build"]["id"]]
        project = codebuild._projects[data["projectName"]]
        variables = _variables(project["environment"].get("environmentVariables", []))
        overrides = data.get("environmentVariablesOverride", [])
        variables |= _variables(overrides)
        build["environment"] = {**project["environment"], "environmentVariables": overrides}
        source, dockerfile = data["sourceLocationOverride"], _dockerfile(project)
        if dockerfile not in _files(source):
            _fail(build, f"{source}: has no {dockerfile}")
        else:
            manifest = json.dumps(
                {"schemaVersion": 2, "source": source, "tag": variables["TAG"], "dockerfile": dockerfile}
            )
            ecr._put_image(
                {
                    "repositoryName": variables["REPOSITORY_NAME"],
                    "imageTag": variables["TAG"],
                    "imageManifest": manifest,
                }
            )
        return response


def _variables(settings: list[dict[str, str]]) -> dict[str, str]:
    return {setting["name"]: setting["value"] for setting in settings}


def _dockerfile(project: dict[str, Any]) -> str:
    """Return the Dockerfile's name, from the project's build command."""
    match = re.search(r"docker build .*?--file (\S+)", project["source"]["buildspec"])
    return match[1] if match else "Dockerfile"


def _files(source: str) -> set[str]:
    bucket, _, key = source.partition("/")
    archive = s3._get_object_data(bucket, key)
    return set(zipfile.ZipFile(io.BytesIO(archive)).namelist()) if archive else set()


def _fail(build: dict[str, Any], reason: str) -> None:
    build["buildStatus"] = "FAILED"
    build["logs"] = {}
    (phase,) = (phase for phase in build["phases"] if phase["phaseType"] == "BUILD")
    phase |= {"phaseStatus": "FAILED", "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": reason}]}


@patch
def account_runs_one_build_at_a_time() -> None:
    """Reject a build while another one of the account runs.

    AWS: an account has a quota of concurrent builds. In a new account it can be one. The emulator: has no quota, and a
    build ends at once. With the patch, a build with the command `sleep N` alone lasts N seconds. Others end at once.
    """

    def end_builds() -> bool:
        """End the account's builds whose time is over. Return whether another one runs."""
        running = [build for build in codebuild._builds.values() if build["buildStatus"] == "IN_PROGRESS"]
        for build in running:
            if time.time() >= build["startTime"] + _seconds(build["source"]):
                codebuild._finish_build(build, "SUCCEEDED")
        return any(build["buildStatus"] == "IN_PROGRESS" for build in running)

    @replaces(codebuild, "_start_build")
    def start_build(original: Any, data: dict[str, Any]) -> Any:
        if end_builds():
            reason = "Cannot have more than 1 builds in queue for the account"
            return error_response_json("AccountLimitExceededException", reason, 400)
        response = original(data)
        if response[0] == 200:
            build = codebuild._builds[json.loads(response[2])["build"]["id"]]
            if _seconds(build["source"]):
                build |= {"buildStatus": "IN_PROGRESS", "currentPhase": "BUILD"}
        return response

    @replaces(codebuild, "_batch_get_builds")
    def batch_get_builds(original: Any, data: dict[str, Any]) -> Any:
        end_builds()
        return original(data)


def _seconds(source: dict[str, Any]) -> int:
    match = re.search(r'\["sleep (\d+)"\]', source.get("buildspec", ""))
    return int(match[1]) if match else 0


@patch
def build_is_authorized_by_project() -> None:
    """Authorize codebuild:BatchGetBuilds by the project.

    AWS: the action's resource is the project of the builds. The emulator: the resource is every project, so that a
    policy that names a project never allows the action.
    """

    @replaces(iam_actions, "extract_resource_arn")
    def resource(original: Any, service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        if service != "codebuild" or not headers.get("x-amz-target", "").endswith(".BatchGetBuilds"):
            return original(service, method, path, headers, body, *rest)
        projects = {build.partition(":")[0] for build in json.loads(body).get("ids", [])}
        if len(projects) != 1:
            return "*"
        return f"arn:aws:codebuild:{get_region()}:{get_account_id()}:project/{projects.pop()}"


@patch
def template_sets_logs_cache_and_queue() -> None:
    """Record the LogsConfig, the Cache and the QueuedTimeoutInMinutes of a template's project.

    AWS: BatchGetProjects returns them. The emulator: ignores them.
    """

    @after_deployment("AWS::CodeBuild::Project")
    def record(name: str, properties: dict[str, Any]) -> None:
        own = {"logsConfig": properties.get("LogsConfig"), "cache": properties.get("Cache")}
        minutes = {"queuedTimeoutInMinutes": properties.get("QueuedTimeoutInMinutes", 480)}
        codebuild._projects[name]["own"] = provisioners._codebuild_cfn_to_api(own) | minutes

    @replaces(codebuild, "_project_shape")
    def shape(original: Any, project: dict[str, Any]) -> Any:
        return {**original(project), **project.get("own", {})}
