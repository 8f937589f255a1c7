"""Templates of research environments, each synthesized once a session; the marker `image` and what it installs."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local import research_environment
from stacks.deployment import Deployment, ResearchDeployment, load
from tests.templates import ROOT, synthesize

Template = dict[str, Any]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "image: takes what the research image installs (minutes, 900 MB); only with -m image"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "image" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("image"):
            item.add_marker(pytest.mark.skip(reason="takes what the research image installs: make image"))


def _template(deployment: Deployment | ResearchDeployment) -> Template:
    (found,) = (each for each in synthesize(deployment) if each.name == f"{deployment.name}-research")
    return found.template


@pytest.fixture(scope="session")
def synth() -> Callable[[Deployment | ResearchDeployment], Template]:
    """The research stack's template."""
    return _template


@pytest.fixture(scope="session")
def example() -> ResearchDeployment:
    """Single sign-on, a network of its own, users and groups, one image."""
    return _load("research.toml")


@pytest.fixture(scope="session")
def several() -> ResearchDeployment:
    """IAM, a network that is there, three images, a workstation."""
    return _load("research-images.toml")


def _load(name: str) -> ResearchDeployment:
    deployment = load(ROOT / "deployments" / name)
    assert isinstance(deployment, ResearchDeployment)
    return deployment


@pytest.fixture(scope="session")
def template(example: ResearchDeployment) -> Template:
    return _template(example)


@pytest.fixture(scope="session")
def several_template(several: ResearchDeployment) -> Template:
    return _template(several)


@pytest.fixture(scope="session")
def environment() -> Path:
    """A virtual environment with what requirements.txt and studio.txt pin, each file checked by its hash."""
    return research_environment.install().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """`10x/`: Genomics' own examples, as scanpy's source has them. `cells.csv`: 559 cells, 30 mitochondrial genes."""
    folder = ROOT / "build" / "research" / "data"
    if (folder / "cells.csv").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pins = ["--no-binary", "scanpy", "--require-hashes", "--requirement", str(ROOT / "tests" / "research" / "data.txt")]
    subprocess.run([*download, *pins, "--dest", str(folder)], check=True)
    (source,), (wheel,) = folder.glob("scanpy-*.tar.gz"), folder.glob("celltypist-*.whl")
    with tarfile.open(source) as archive:
        inside = "/tests/_data/10x_data/"
        for member in archive:
            if member.isfile() and inside in member.name:
                target = folder / "10x" / member.name.partition(inside)[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content
                target.write_bytes(content.read())
    with zipfile.ZipFile(wheel) as archive:
        content_of_csv = archive.read("celltypist/data/samples/sample_cell_by_gene.csv")
    source.unlink()
    wheel.unlink()
    (folder / "cells.csv").write_bytes(content_of_csv)  # last: what is whole has it
    return folder
