"""The image's packages and real data, for tests with the marker `image`."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from local import research_environment
from local.environment import ROOT


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests with the marker `image`, unless `-m` names it."""
    if "image" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("image"):
            item.add_marker(pytest.mark.skip(reason="needs the packages of the research image: make image"))


@pytest.fixture(scope="session")
def environment() -> Path:
    """A virtual environment with the packages of requirements.txt and studio.txt, each file checked by its hash."""
    return research_environment.install().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with `10x/`, examples of 10x Genomics, and `cells.csv`, 559 cells with 30 mitochondrial genes."""
    folder = ROOT / "build" / "research" / "data"
    if (folder / "cells.csv").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pins = ["--no-binary", "scanpy", "--require-hashes", "--requirement", str(ROOT / "tests" / "research" / "data.txt")]
    subprocess.run([*download, *pins, "--dest", str(folder)], check=True)
    (source,), (wheel,) = folder.glob("scanpy-*.tar.gz"), folder.glob("celltypist-*.whl")
    with tarfile.open(source) as archive:
        examples = "/tests/_data/10x_data/"
        for member in archive:
            if member.isfile() and examples in member.name:
                target = folder / "10x" / member.name.partition(examples)[2]
                target.parent.mkdir(parents=True, exist_ok=True)
                content = archive.extractfile(member)
                assert content
                target.write_bytes(content.read())
    with zipfile.ZipFile(wheel) as archive:
        cells = archive.read("celltypist/data/samples/sample_cell_by_gene.csv")
    source.unlink()
    wheel.unlink()
    (folder / "cells.csv").write_bytes(cells)  # the last file: it shows that the folder is complete
    return folder
