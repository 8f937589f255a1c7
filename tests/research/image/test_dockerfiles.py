"""The images' files: build contexts, pins and the start script. No image is built here."""

import subprocess
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk.aws_s3_assets import Asset

from stacks.common.container_image import ContainerImage, ImageBuilder
from stacks.deployment import load
from stacks.deployment.research import ImageConfig
from tests.templates import CONTEXT, ROOT

IMAGES = ROOT / "research" / "image"
PEGASUS = IMAGES / "pegasus"
DEPLOYMENT = load(ROOT / "deployments" / "research-images.toml")
assert DEPLOYMENT.research


def staged_context(image: ImageConfig, folder: Path) -> Path:
    """Return a copy of the build context as CodeBuild gets it."""
    stack = Stack(App(context=CONTEXT, outdir=str(folder)), "stack")
    built = ContainerImage(
        stack,
        "Image",
        builder=ImageBuilder(stack, "Builder", function_name="build"),
        repository=ecr.Repository(stack, "Repository"),
        context=image.folder,
        dockerfile=image.dockerfile,
    )
    context = built.node.find_child("Context")
    assert isinstance(context, Asset)
    return folder / context.asset_path


@pytest.mark.parametrize("image", DEPLOYMENT.research.images, ids=lambda image: image.name)
def test_build_context_contains_the_copied_files(image: ImageConfig, tmp_path: Path) -> None:
    context = staged_context(image, tmp_path)
    sources = []
    for line in (context / image.dockerfile).read_text().splitlines():
        words = [word for word in line.split() if not word.startswith("--chmod")]
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            sources += words[1:-1]
    assert len(sources) == {"pegasus": 8, "r": 2, "pegasus-1": 0}[image.name]
    for source in sources:
        assert list(context.glob(source)), source
    folders = {path.name for path in (context / "image").glob("*")} if (context / "image").exists() else set()
    assert folders == {"pegasus": {"pegasus"}, "r": {"pegasus", "r"}, "pegasus-1": set()}[image.name]
    assert not list(context.rglob("__pycache__"))


@pytest.mark.parametrize("path", sorted(IMAGES.glob("*/*.txt")), ids=lambda path: path.name)
def test_packages_are_pinned_by_hash(path: Path) -> None:
    lines = path.read_text().splitlines()
    names = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert names
    assert all("==" in line for line in names)
    assert sum("--hash=sha256:" in line for line in lines) >= len(names)
    assert not [line for line in lines if "://" in line], "no address of a registry"


def test_studio_can_detect_idle_apps() -> None:
    """Studio requests the idle time from this extension of JupyterLab."""
    (version,) = (
        line.split("==")[1].split()[0]
        for line in (PEGASUS / "studio.txt").read_text().splitlines()
        if line.startswith("jupyter-activity-monitor-extension==")
    )
    assert tuple(int(part) for part in version.split(".")) >= (0, 3, 1)


def test_start_script_fills_a_new_home_folder_only(tmp_path: Path) -> None:
    binaries, home = tmp_path / "bin", tmp_path / "home"
    binaries.mkdir()
    home.mkdir()
    (binaries / "jupyter-lab").write_text("#!/bin/sh\n")
    (binaries / "jupyter-lab").chmod(0o755)
    share = ROOT / "research" / "notebooks"
    environment = {"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(home), "RESEARCH_SHARE": str(share)}
    subprocess.run([PEGASUS / "start-jupyterlab"], env=environment, check=True)
    copied = home / "research" / "qc_and_clusters.ipynb"
    assert copied.read_text() == (share / copied.name).read_text()
    copied.write_text("changed")
    subprocess.run([PEGASUS / "start-jupyterlab"], env=environment, check=True)
    assert copied.read_text() == "changed"
