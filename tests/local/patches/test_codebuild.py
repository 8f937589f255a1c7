"""Patches of CodeBuild."""

import io
import json
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.support import Account, unique

pytestmark = pytest.mark.system

_COMMAND = "docker build --file Dockerfile --tag $REPOSITORY:$TAG ."


def _build(account: Account, *files: str) -> tuple[dict[str, Any], str]:
    """Build a context with these files. Return the build and the name of its image repository."""
    repository, bucket = unique("images"), account.bucket()
    account.client("ecr").create_repository(repositoryName=repository)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as context:
        for file in files:
            context.writestr(file, "FROM scratch\n")
    account.client("s3").put_object(Bucket=bucket, Key="context.zip", Body=archive.getvalue())
    codebuild = account.client("codebuild")
    project = unique("project")
    codebuild.create_project(
        name=project,
        source={"type": "NO_SOURCE", "buildspec": json.dumps({"phases": {"build": {"commands": [_COMMAND]}}})},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "ARM_CONTAINER",
            "image": "unused",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "REPOSITORY_NAME", "value": repository}],
        },
        serviceRole=account.role_arn("build"),
    )
    started = codebuild.start_build(
        projectName=project,
        sourceTypeOverride="S3",
        sourceLocationOverride=f"{bucket}/context.zip",
        environmentVariablesOverride=[{"name": "TAG", "value": "image-1"}],
    )["build"]["id"]
    (build,) = codebuild.batch_get_builds(ids=[started])["builds"]
    return build, repository


def _images(account: Account, repository: str) -> list[dict[str, Any]]:
    images: list[dict[str, Any]] = account.client("ecr").describe_images(repositoryName=repository)["imageDetails"]
    return images


def test_build_records_image_with_tag(publisher: Account) -> None:
    build, repository = _build(publisher, "Dockerfile", "main.py")

    assert build["buildStatus"] == "SUCCEEDED"
    (image,) = _images(publisher, repository)
    assert image["imageTags"] == ["image-1"]
    assert image["imageDigest"].startswith("sha256:")


def test_build_fails_without_dockerfile(publisher: Account) -> None:
    build, repository = _build(publisher, "main.py")

    assert build["buildStatus"] == "FAILED"
    (reason,) = [phase["contexts"][0]["message"] for phase in build["phases"] if phase.get("contexts")]
    assert reason.endswith("has no Dockerfile")
    assert _images(publisher, repository) == []


def test_unpatched_build_succeeds_without_image(unpatched_account: Account) -> None:
    build, repository = _build(unpatched_account, "main.py")

    assert build["buildStatus"] == "SUCCEEDED"
    assert _images(unpatched_account, repository) == []


def _get_build(account: Account, build: dict[str, Any], project: str) -> None:
    """Get a build as a role that may do so for one project."""
    resource = build["arn"].partition(":build/")[0] + f":project/{project}"
    role = account.role({"Action": "codebuild:BatchGetBuilds", "Resource": resource})
    account.client("codebuild", role=role).batch_get_builds(ids=[build["id"]])


def test_build_is_authorized_by_project(publisher: Account) -> None:
    build, _ = _build(publisher, "Dockerfile")

    _get_build(publisher, build, build["projectName"])
    with pytest.raises(ClientError, match="AccessDenied"):
        _get_build(publisher, build, "another")


def test_unpatched_build_is_not_authorized_by_project(unpatched_account: Account) -> None:
    build, _ = _build(unpatched_account, "Dockerfile")

    with pytest.raises(ClientError, match="AccessDenied"):
        _get_build(unpatched_account, build, build["projectName"])
