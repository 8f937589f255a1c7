"""Patches of CodeBuild."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.patches.image_support import build_image, images
from tests.local.support import Account, eventually, unique

pytestmark = pytest.mark.system

_DOCKERFILE = {"Dockerfile": "FROM scratch\n"}


def test_build_records_image_with_tag(publisher: Account) -> None:
    build, repository = build_image(publisher, {**_DOCKERFILE, "main.py": ""})

    assert build["buildStatus"] == "SUCCEEDED"
    (image,) = images(publisher, repository)
    assert image["imageTags"] == ["image-1"]
    assert image["imageDigest"].startswith("sha256:")


def test_build_fails_without_dockerfile(publisher: Account) -> None:
    build, repository = build_image(publisher, {"main.py": ""})

    assert build["buildStatus"] == "FAILED"
    (reason,) = [phase["contexts"][0]["message"] for phase in build["phases"] if phase.get("contexts")]
    assert reason.endswith("has no Dockerfile")
    assert images(publisher, repository) == []


def test_unpatched_build_succeeds_without_image(unpatched_account: Account) -> None:
    build, repository = build_image(unpatched_account, {"main.py": ""})

    assert build["buildStatus"] == "SUCCEEDED"
    assert images(unpatched_account, repository) == []


def _start_two_builds(account: Account) -> None:
    """Start a build that lasts two seconds, and a build of another project."""
    codebuild, projects = account.client("codebuild"), [unique("project") for _ in range(2)]
    for project in projects:
        codebuild.create_project(
            name=project,
            source={
                "type": "NO_SOURCE",
                "buildspec": json.dumps({"version": "0.2", "phases": {"build": {"commands": ["sleep 2"]}}}),
            },
            artifacts={"type": "NO_ARTIFACTS"},
            environment={"type": "ARM_CONTAINER", "image": "unused", "computeType": "BUILD_GENERAL1_SMALL"},
            serviceRole=account.role_arn("build"),
        )
    for project in projects:
        codebuild.start_build(projectName=project)


def test_second_build_is_rejected_until_the_first_ends(other_account: Account) -> None:
    codebuild = other_account.client("codebuild")
    with pytest.raises(ClientError, match="AccountLimitExceededException"):
        _start_two_builds(other_account)
    first = codebuild.list_builds()["ids"]

    def status() -> str:
        (found,) = {build["buildStatus"] for build in codebuild.batch_get_builds(ids=first)["builds"]}
        return str(found)

    assert status() == "IN_PROGRESS"
    eventually(lambda: status() == "SUCCEEDED")
    build, _ = build_image(other_account, _DOCKERFILE)
    assert build["buildStatus"] == "SUCCEEDED"


def test_unpatched_account_has_no_limit_of_builds(unpatched_account: Account) -> None:
    _start_two_builds(unpatched_account)


def _get_build(account: Account, build: dict[str, Any], project: str) -> None:
    """Get a build as a role that may do so for one project."""
    resource = build["arn"].partition(":build/")[0] + f":project/{project}"
    role = account.role({"Action": "codebuild:BatchGetBuilds", "Resource": resource})
    account.client("codebuild", role=role).batch_get_builds(ids=[build["id"]])


def test_build_is_authorized_by_project(publisher: Account) -> None:
    build, _ = build_image(publisher, _DOCKERFILE)

    _get_build(publisher, build, build["projectName"])
    with pytest.raises(ClientError, match="AccessDenied"):
        _get_build(publisher, build, "another")


def test_unpatched_build_is_not_authorized_by_project(unpatched_account: Account) -> None:
    build, _ = build_image(unpatched_account, _DOCKERFILE)

    with pytest.raises(ClientError, match="AccessDenied"):
        _get_build(unpatched_account, build, build["projectName"])
