"""Container images: the tag, the build project and the custom resource."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_kms as kms
from aws_cdk.assertions import Template as Assertions
from aws_cdk.aws_s3_assets import Asset

from stacks.common.container_image import ContainerImage, ImageBuilder
from tests.stacks.policies import Template, only
from tests.templates import CONTEXT, ROOT

HOSTILE = "registry.example.com/pegasus:1.0; rm -rf /"


def build(context: Path, **options: Any) -> ContainerImage:
    stack = Stack(App(context=CONTEXT), "stack", env=Environment(region="us-east-1"))
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
    image = build(ROOT / "research", dockerfile="image/pegasus/Dockerfile", build_args={"BASE": HOSTILE})
    return dict(Assertions.from_stack(Stack.of(image)).to_json())


def copy_context(folder: Path) -> Path:
    """Copy the folder `research`, without what Git ignores."""
    return shutil.copytree(ROOT / "research", folder / "context", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return copy_context(tmp_path)


def tags(context: Path, **options: Any) -> dict[str, str]:
    """Return the tags of the stages, without the stage's name."""
    stack = Stack(App(context=CONTEXT), "stack", env=Environment(region="us-east-1"))
    given: dict[str, Any] = {"builder": ImageBuilder(stack, "Builder", function_name="build"), "context": context}
    given |= {"repository": ecr.Repository(stack, "Repository"), "dockerfile": "image/pegasus/Dockerfile", **options}
    stages = ("processing", "studio", "code-editor")
    return {
        stage: ContainerImage(stack, stage, target=stage, **given).tag.removeprefix(f"{stage}-") for stage in stages
    }


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tags without a change."""
    return tags(copy_context(tmp_path_factory.mktemp("before")))


@pytest.mark.parametrize(
    ("file", "rebuilt"),
    [
        ("image/pegasus/requirements.txt", {"processing", "studio", "code-editor"}),
        ("image/pegasus/studio.txt", {"studio"}),
        ("image/pegasus/editor.txt", {"code-editor"}),
        ("notebooks/launch_a_job.ipynb", {"studio", "code-editor"}),
        ("launch.py", {"studio", "code-editor"}),
        ("image/pegasus/start-jupyterlab", {"studio"}),
        ("image/pegasus/studio.in", set()),
        ("image/r/Dockerfile", set()),
        ("__pycache__/launch.pyc", set()),
        ("README.md", set()),
    ],
)
def test_stage_is_rebuilt_when_its_files_change(
    context: Path, before: dict[str, str], file: str, rebuilt: set[str]
) -> None:
    assert len(set(before.values())) == 3
    path = context / file
    path.parent.mkdir(exist_ok=True)
    original = path.read_bytes() if path.exists() else b""
    path.write_bytes(original + b"\n# changed\n")
    after = tags(context)
    assert {stage for stage in before if after[stage] != before[stage]} == rebuilt


@pytest.mark.parametrize(
    ("change", "rebuilt"),
    [
        (("# Studio runs", "# A comment: Studio runs"), set()),
        (("apt-get install --yes --no-install-recommends git less", "apt-get install --yes git less"), {"studio"}),
        (("build-essential", "build-essential gfortran"), {"processing", "studio"}),
        (("ENV HNSWLIB_NO_NATIVE=1\nCOPY", "COPY"), {"code-editor"}),
    ],
)
def test_stage_is_rebuilt_when_its_instructions_change(
    context: Path, before: dict[str, str], change: tuple[str, str], rebuilt: set[str]
) -> None:
    dockerfile = context / "image" / "pegasus" / "Dockerfile"
    text = dockerfile.read_text()
    assert text.count(change[0]) == 1
    dockerfile.write_text(text.replace(*change))
    after = tags(context)
    assert {stage for stage in before if after[stage] != before[stage]} == rebuilt


@pytest.mark.parametrize(
    ("arguments", "rebuilt"),
    [
        ({"BASE": "other"}, {"processing", "studio", "code-editor"}),  # the share of Code Editor, too
        ({"BASE_DISTRIBUTION": "other"}, {"code-editor"}),
        ({"UNUSED": "other"}, set()),
    ],
)
def test_stage_is_rebuilt_when_its_arguments_change(
    context: Path, before: dict[str, str], arguments: dict[str, str], rebuilt: set[str]
) -> None:
    after = tags(context, build_args=arguments)
    assert {stage for stage in before if after[stage] != before[stage]} == rebuilt


@pytest.mark.parametrize(
    "name", [".env", "notes/.env.production", "notes/key.pem", "id.key", "id_rsa", ".git/config", ".netrc"]
)
def test_context_has_no_credentials(context: Path, name: str) -> None:
    dockerfile = "image/pegasus/Dockerfile"

    def asset_hash() -> str:
        asset = build(context, dockerfile=dockerfile).node.find_child("Context")
        assert isinstance(asset, Asset)
        return asset.asset_hash

    before = asset_hash()
    (context / name).parent.mkdir(exist_ok=True)
    (context / name).write_text("secret")
    assert asset_hash() == before
    with (context / f"{dockerfile}.dockerignore").open("a") as patterns:
        patterns.write(f"!{name}\n")
    assert asset_hash() != before


def commands(template: Template) -> str:
    return str(only(template, "AWS::CodeBuild::Project")["Properties"]["Source"]["BuildSpec"])


def test_build_has_three_attempts(template: Template, tmp_path: Path) -> None:
    """Registries limit requests for a short time."""
    (command,) = json.loads(commands(template))["phases"]["build"]["commands"]
    for name, script in {
        "docker": 'echo "$1" >> calls; [ "$1" != build ] || [ "$(grep -c build calls)" = 3 ]',
        "aws": '[ "$2" != describe-images ]',
        "sleep": 'echo "sleep $1" >> calls',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "REPOSITORY": "r/x", "REPOSITORY_NAME": "x", "TAG": "t"}
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=variables, check=True)
    calls = (tmp_path / "calls").read_text().split("\n")
    assert [call for call in calls if call] == ["login", "build", "sleep 30", "build", "sleep 90", "build", "push"]


def test_build_arguments_are_quoted(template: Template) -> None:
    spec = commands(template)
    command = spec[spec.index("docker build") : spec.index(" --tag ")].encode().decode("unicode_escape")
    assert shlex.split(command)[-1] == f"BASE={HOSTILE}"
