"""Patches of CodeBuild."""

import pytest
from botocore.exceptions import ClientError

from tests.local.patches.image_support import build_image, create_project, images
from tests.local.support import Account, eventually

pytestmark = pytest.mark.system

_DOCKERFILE = {"Dockerfile": "FROM scratch\n"}


@pytest.mark.patched
def test_build_records_image_with_tag(publisher: Account) -> None:
    build, repository = build_image(publisher, {**_DOCKERFILE, "main.py": ""})

    assert build["buildStatus"] == "SUCCEEDED"
    (image,) = images(publisher, repository)
    assert image["imageTags"] == ["image-1"]
    assert image["imageDigest"].startswith("sha256:")


@pytest.mark.patched
def test_second_build_is_rejected_until_the_first_ends(other_account: Account) -> None:
    codebuild = other_account.client("codebuild")
    first, second = (create_project(other_account, "sleep 2") for _ in range(2))
    started = codebuild.start_build(projectName=first)["build"]["id"]
    with pytest.raises(ClientError, match="AccountLimitExceededException"):
        codebuild.start_build(projectName=second)

    def status() -> str:
        return str(codebuild.batch_get_builds(ids=[started])["builds"][0]["buildStatus"])

    assert status() == "IN_PROGRESS"
    eventually(lambda: status() == "SUCCEEDED")
    build, _ = build_image(other_account, _DOCKERFILE)
    assert build["buildStatus"] == "SUCCEEDED"


@pytest.mark.patched
def test_build_is_authorized_by_project(publisher: Account) -> None:
    build, _ = build_image(publisher, _DOCKERFILE)

    def get_build(project: str) -> None:
        """Get the build as a role that may do so for one project."""
        resource = build["arn"].partition(":build/")[0] + f":project/{project}"
        role = publisher.role({"Action": "codebuild:BatchGetBuilds", "Resource": resource})
        publisher.client("codebuild", role=role).batch_get_builds(ids=[build["id"]])

    get_build(build["projectName"])
    with pytest.raises(ClientError, match="AccessDenied"):
        get_build("another")
