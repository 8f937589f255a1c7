"""Images that CodeBuild builds, for the tests of CodeBuild's and ECS's patches."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from tests.local.support import Account, unique

_BUILD = "docker build --file Dockerfile --tag $REPOSITORY:$TAG ."


def create_project(account: Account, command: str, **variables: str) -> str:
    """Create a project that runs a command with these variables, and return its name."""
    project = unique("project")
    account.client("codebuild").create_project(
        name=project,
        source={"type": "NO_SOURCE", "buildspec": json.dumps({"phases": {"build": {"commands": [command]}}})},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "ARM_CONTAINER",
            "image": "unused",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": name, "value": value} for name, value in variables.items()],
        },
        serviceRole=account.role_arn("build"),
    )
    return project


def build_image(account: Account, files: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Build a context with these files. Return the build and the name of its image repository."""
    repository, bucket = unique("images"), account.bucket()
    account.client("ecr").create_repository(repositoryName=repository)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as context:
        for name, content in files.items():
            context.writestr(name, content)
    account.client("s3").put_object(Bucket=bucket, Key="context.zip", Body=archive.getvalue())
    codebuild = account.client("codebuild")
    started = codebuild.start_build(
        projectName=create_project(account, _BUILD, REPOSITORY_NAME=repository),
        sourceTypeOverride="S3",
        sourceLocationOverride=f"{bucket}/context.zip",
        environmentVariablesOverride=[{"name": "TAG", "value": "image-1"}],
    )["build"]["id"]
    (build,) = codebuild.batch_get_builds(ids=[started])["builds"]
    return build, repository


def images(account: Account, repository: str) -> list[dict[str, Any]]:
    """Return the images of a repository."""
    listed: list[dict[str, Any]] = account.client("ecr").describe_images(repositoryName=repository)["imageDetails"]
    return listed
