"""Patches of CodeBuild."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.patches.image_support import build_image, images
from tests.local.support import Account

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
