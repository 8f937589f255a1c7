"""The stages `processing` and `studio`, built and run with buildah. It needs root, and some 15 minutes the first time.

No registry is asked: a Debian of debootstrap stands in for the base image. So these tests prove the Dockerfile's
commands and the scripts, and not what the base contains. The images are kept below build/.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from research.launch import SCRIPT
from research.script import write
from tests.templates import ROOT

PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
"""The user's path, and the folders of commands for root."""
MISSING = [name for name in ("buildah", "debootstrap") if not shutil.which(name, path=PATH)]
pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(
        os.geteuid() != 0 or bool(MISSING),
        reason=f"stages are not built: {' and '.join(MISSING)} missing"
        if MISSING
        else "stages are not built: needs root",
    ),
]
STORE = ROOT / "build" / "research" / "images"
STAND_IN = "localhost/stand-in:1"
PACKAGES = "python3,python3-dev,python3-venv,python3-pip,ca-certificates"
CONFIGURATION = ("etc/apt/apt.conf.d", "etc/pip.conf", "etc/resolv.conf", "root/.config/pip", "root/.pip")
"""Settings of this machine for its package indexes."""
Run = Callable[..., str]


def buildah(*arguments: str | Path, check: bool = True) -> str:
    store = ["--root", STORE / "store", "--runroot", STORE / "run", "--storage-driver", "overlay"]
    command = ["buildah", *map(str, store), *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, "PATH": PATH}, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def add_stand_in(folder: Path) -> None:
    """Create the image that stands in for the base, unless it is in the store."""
    if buildah("images", "--quiet", "--filter", f"reference={STAND_IN}", check=False):
        return
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(folder)]
    subprocess.run(command, env={**os.environ, "PATH": PATH}, check=True)
    (folder / "usr/bin/python").symlink_to("python3")
    (folder / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    for name in CONFIGURATION:
        source, target = Path("/", name), folder / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    container = buildah("from", "scratch")
    buildah("copy", "--quiet", container, folder, "/")
    buildah("commit", "--quiet", container, STAND_IN)
    buildah("rm", container)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Run]]:
    """Build a stage, and return a function that runs commands in a container of it."""
    folder, containers = tmp_path_factory.mktemp("image"), []
    add_stand_in(folder / "base")
    context = shutil.copytree(ROOT / "research", folder / "research", ignore=shutil.ignore_patterns("__pycache__"))

    def build(target: str, *options: str) -> Run:
        arguments = ["--isolation", "chroot", "--pull-never", "--network", "host", "--layers"]
        arguments += ["--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", "--build-arg", f"BASE_PYTHON={STAND_IN}"]
        image = f"localhost/pegasus-{target}"
        file = context / "image" / "pegasus" / "Dockerfile"
        buildah("bud", *arguments, "--target", target, "--file", file, "--tag", image, context)
        container = buildah("from", "--pull-never", image)
        containers.append(container)
        return lambda *command: buildah("run", "--isolation", "chroot", *options, container, "--", *command)

    yield build
    for container in containers:
        buildah("rm", container)


@pytest.fixture(scope="module")
def studio(stage: Callable[..., Run]) -> Run:
    """Commands in the stage `studio` as Studio's user, whose home folder is prepared as at the start of an app."""
    run = stage("studio", "--user", "1000:100", "--env", "HOME=/home/sagemaker-user")
    run("prepare-home", "python3", "Pegasus")
    return run


def test_terminal_runs_the_guides_commands(studio: Run) -> None:
    """JupyterLab's terminals are login shells of $SHELL."""
    commands = "cd ~\ncommand -v python3 pip git\npython3 -m research.launch --help\nls research/notebooks"
    printed = studio("sh", "-c", f"printf '%s\\n' '{commands}' | \"$SHELL\" -l")
    assert printed.splitlines()[:3] == [
        "/home/sagemaker-user/.own-packages/bin/python3",
        "/home/sagemaker-user/.own-packages/bin/pip",
        "/usr/bin/git",
    ]
    assert "usage: python -m research.launch" in printed
    assert "launch_a_job.ipynb" in printed


def test_kernel_has_the_packages_of_image_and_home(studio: Run) -> None:
    kernel = studio("cat", "/home/sagemaker-user/.local/share/jupyter/kernels/python3/kernel.json")
    assert '"/home/sagemaker-user/.own-packages/bin/python"' in kernel
    code = "import boto3, ipywidgets, pegasus, scanpy, sys; print(sys.prefix)"
    printed = studio("/home/sagemaker-user/.own-packages/bin/python", "-W", "ignore", "-c", code)
    assert printed.splitlines()[-1] == "/home/sagemaker-user/.own-packages"


def test_job_runs_as_in_sagemaker(stage: Callable[..., Run], tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "output"
    data.mkdir()
    output.mkdir()
    genes = [f"GENE{number}" for number in range(600)]
    rows = [",".join(["gene", *(f"cell-{number}" for number in range(20))])]
    for row, gene in enumerate([*genes, "MT-CO1"]):
        rows.append(",".join([gene, *(str(1 + (row + row * cell) % 5) for cell in range(20))]))
    (data / "cells.csv").write_text("\n".join(rows))
    jobs = tmp_path / "code"
    jobs.mkdir()
    write(SCRIPT, jobs)
    mounts = {data: "input/data", jobs: "input/code", output: "output"}
    volumes = [f"--volume={source}:/opt/ml/processing/{target}" for source, target in mounts.items()]
    stage("processing", *volumes)("python3", "/opt/ml/processing/input/code/qc_metrics.pyz", "--transpose", "no")
    assert ",20," in (output / "qc_metrics.csv").read_text()
