"""CodeBuild's gaps. (There is no Docker: an image is recorded with its tag and digest, and has no layers.)"""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import get_account_id, get_region
from ministack.services import codebuild, ecr, s3

from local.patches.patch import instead_of


def install() -> None:
    """Fill every gap of this file."""
    a_build_leaves_its_image()
    looking_at_a_build_is_allowed_by_its_project()


def a_build_leaves_its_image() -> None:
    """AWS: runs the project's commands, as its role. Ours build the Dockerfile in the zipped context that the build is
    told, and push the image under the tag that it is told.

    The emulator: runs nothing, pushes nothing, says SUCCEEDED. Here nothing runs either, but the context has to be
    there with its Dockerfile, or the build fails; then an image is recorded, its digest one of the context and tag.
    """

    @instead_of(codebuild, "_start_build")
    def start_build(original: Any, data: dict[str, Any]) -> Any:
        answer = original(data)
        if answer[0] != 200 or data.get("sourceTypeOverride") != "S3":
            return answer
        build = codebuild._builds[json.loads(answer[2])["build"]["id"]]
        project = codebuild._projects[data["projectName"]]
        variables = _variables(project["environment"].get("environmentVariables", []))
        variables |= _variables(data.get("environmentVariablesOverride", []))
        source, dockerfile = data["sourceLocationOverride"], _dockerfile(project)
        if dockerfile not in _files(source):
            _fail(build, f"{source}: has no {dockerfile}")
        else:
            manifest = json.dumps({"schemaVersion": 2, "source": source, "tag": variables["TAG"]})
            ecr._put_image(
                {
                    "repositoryName": variables["REPOSITORY_NAME"],
                    "imageTag": variables["TAG"],
                    "imageManifest": manifest,
                }
            )
        return answer


def _variables(settings: list[dict[str, str]]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in settings}


def _dockerfile(project: dict[str, Any]) -> str:
    """As the project's own command names it."""
    found = re.search(r"docker build .*?--file (\S+)", project["source"]["buildspec"])
    return found[1] if found else "Dockerfile"


def _files(source: str) -> set[str]:
    bucket, _, key = source.partition("/")
    archive = s3._get_object_data(bucket, key)
    return set(zipfile.ZipFile(io.BytesIO(archive)).namelist()) if archive else set()


def _fail(build: dict[str, Any], reason: str) -> None:
    build["buildStatus"] = "FAILED"
    build["logs"] = {}  # nothing ran, and nothing was logged
    (phase,) = (each for each in build["phases"] if each["phaseType"] == "BUILD")
    phase |= {"phaseStatus": "FAILED", "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": reason}]}


def looking_at_a_build_is_allowed_by_its_project() -> None:
    """AWS: the resource of codebuild:BatchGetBuilds is the builds' project.

    The emulator: every project, so that the policy AWS wants never allows.
    """

    @instead_of(iam_actions, "extract_resource_arn")
    def resource(original: Any, service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        if service != "codebuild" or not headers.get("x-amz-target", "").endswith(".BatchGetBuilds"):
            return original(service, method, path, headers, body, *rest)
        projects = {build.partition(":")[0] for build in json.loads(body).get("ids", [])}
        if len(projects) != 1:
            return "*"
        return f"arn:aws:codebuild:{get_region()}:{get_account_id()}:project/{projects.pop()}"
