"""CodeBuild's gaps."""

import io
import json
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import PUBLISHER, Account, unique

pytestmark = pytest.mark.system
COMMAND = "docker build --file Dockerfile --tag $REPOSITORY:$TAG ."


def _build(account: Account, *files: str) -> tuple[dict[str, Any], str]:
    """A build of a context with these files, and the repository that it is for."""
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
        source={"type": "NO_SOURCE", "buildspec": json.dumps({"phases": {"build": {"commands": [COMMAND]}}})},
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
    found: list[dict[str, Any]] = account.client("ecr").describe_images(repositoryName=repository)["imageDetails"]
    return found


def test_a_build_leaves_its_image_under_its_tag(publisher: Account) -> None:
    build, repository = _build(publisher, "Dockerfile", "main.py")

    assert build["buildStatus"] == "SUCCEEDED"
    (image,) = _images(publisher, repository)
    assert image["imageTags"] == ["image-1"]
    assert image["imageDigest"].startswith("sha256:")


def test_a_context_without_its_dockerfile_fails_the_build(publisher: Account) -> None:
    build, repository = _build(publisher, "main.py")

    assert build["buildStatus"] == "FAILED"
    (reason,) = [each["contexts"][0]["message"] for each in build["phases"] if each.get("contexts")]
    assert reason.endswith("has no Dockerfile")
    assert _images(publisher, repository) == []


def test_gap_a_build_leaves_no_image(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    build, repository = _build(account, "main.py")

    assert build["buildStatus"] == "SUCCEEDED"
    assert _images(account, repository) == []


def _look(account: Account, build: dict[str, Any], project: str) -> None:
    resource = build["arn"].partition(":build/")[0] + f":project/{project}"
    role = account.role({"Action": "codebuild:BatchGetBuilds", "Resource": resource})
    account.client("codebuild", role=role).batch_get_builds(ids=[build["id"]])


def test_looking_at_a_build_is_allowed_by_its_project(publisher: Account) -> None:
    build, _ = _build(publisher, "Dockerfile")

    _look(publisher, build, build["projectName"])
    with pytest.raises(ClientError, match="AccessDenied"):
        _look(publisher, build, "another")


def test_gap_looking_at_a_build_by_its_project(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    build, _ = _build(account, "Dockerfile")

    with pytest.raises(ClientError, match="AccessDenied"):
        _look(account, build, build["projectName"])
