"""Container images: the tag, the build project and the custom resource."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template as Assertions

from stacks.common.container_image import ContainerImage, ImageBuilder
from tests.stacks.policies import Template, only
from tests.templates import CONTEXT, ROOT

PEGASUS = ROOT / "research" / "image" / "pegasus"
HOSTILE = "registry.example.com/pegasus:1.0; rm -rf /"


def build(context: Path, **options: Any) -> ContainerImage:
    stack = Stack(App(context=CONTEXT), "stack")
    return ContainerImage(
        stack,
        "Image",
        builder=ImageBuilder(stack, "Builder", function_name="build"),
        repository=ecr.Repository(stack, "Repository"),
        context=context,
        key=kms.Key(stack, "Key"),
        **{"target": "studio", **options},
    )


@pytest.fixture(scope="module")
def template() -> Template:
    image = build(PEGASUS, build_args={"BASE": HOSTILE})
    return dict(Assertions.from_stack(Stack.of(image)).to_json())


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return shutil.copytree(PEGASUS, tmp_path / "context")


def test_tag_depends_on_content_stage_and_arguments(context: Path) -> None:
    tag = build(context).tag
    assert tag.startswith("studio-")
    assert build(context, target="processing").tag.partition("-")[2] != tag.partition("-")[2]
    assert build(context, build_args={"BASE": "other"}).tag != tag
    original = (context / "requirements.txt").read_text()
    (context / "requirements.txt").write_text("changed\n")
    assert build(context).tag != tag
    # A rollback.
    (context / "requirements.txt").write_text(original)
    assert build(context).tag == tag


def test_tag_skips_files_ignored_by_docker(context: Path) -> None:
    tag = build(context).tag
    (context / "__pycache__").mkdir()
    (context / "__pycache__" / "module.pyc").write_bytes(b"compiled")
    (context / "image").mkdir()
    (context / "image" / "r").write_text("excluded by Dockerfile.dockerignore")
    assert build(context).tag == tag


def commands(template: Template) -> str:
    return str(only(template, "AWS::CodeBuild::Project")["Properties"]["Source"]["BuildSpec"])


def test_build_pushes_only_a_new_tag(template: Template) -> None:
    spec = commands(template)
    described, built, pushed = (spec.index(step) for step in ("describe-images", "docker build", "docker push"))
    assert described < spec.index("||") < built < pushed


def test_build_arguments_are_quoted(template: Template) -> None:
    spec = commands(template)
    command = spec[spec.index("docker build") : spec.index(" --tag ")].encode().decode("unicode_escape")
    assert shlex.split(command)[-1] == f"BASE={HOSTILE}"


def test_project_has_no_source_and_ends_before_cloudformation(template: Template) -> None:
    project = only(template, "AWS::CodeBuild::Project")["Properties"]
    assert project["Source"]["Type"] == "NO_SOURCE"
    assert project["Environment"]["PrivilegedMode"] is True
    assert project["EncryptionKey"]
    assert project["TimeoutInMinutes"] == 50


def test_build_depends_on_the_projects_role(template: Template) -> None:
    build = only(template, "Custom::ContainerImage")
    assert {template["Resources"][name]["Type"] for name in build["DependsOn"]} == {
        "AWS::IAM::Role",
        "AWS::IAM::Policy",
    }
