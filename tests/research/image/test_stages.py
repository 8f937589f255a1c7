"""The stages `processing` and `studio`, built and run with buildah. It needs root, and some 15 minutes the first time.

No registry is asked: a Debian of debootstrap stands in for the base image. So these tests prove the Dockerfile's
commands and the scripts, and not what the base contains. The images are kept below build/.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import images
from research.launch import SCRIPT
from research.script import write
from tests.templates import ROOT

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(bool(images.missing()), reason=f"stages are not built: {images.missing()}"),
]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Run]]:
    """Build a stage, and return a function that runs commands in a container of it."""
    if problem := images.refused():
        pytest.skip(f"stages are not built: {problem}")
    folder = tmp_path_factory.mktemp("image")
    context = shutil.copytree(ROOT / "research", folder / "research", ignore=shutil.ignore_patterns("__pycache__"))
    file, base = context / "image" / "pegasus" / "Dockerfile", images.stand_in()
    with ExitStack() as containers:

        def build(target: str, *options: str) -> Run:
            arguments = ["--build-arg", f"BASE_PYTHON={base}", "--target", target]
            image = images.build(context, dockerfile=file, name=f"localhost/pegasus-{target}", options=arguments)
            name = containers.enter_context(images.container(image))

            def run(*words: str) -> str:
                command = images.command(name, *words, options=options)
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
                return done.stdout.strip()

            return run

        yield build


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
