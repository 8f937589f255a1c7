"""The stages of the images, built and run with buildah. It needs root, and some 20 minutes the first time.

No registry is asked: a Debian of debootstrap stands in for the base image. So these tests prove the Dockerfiles'
commands and the scripts, and not what the base contains. The images are kept below build/.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import images
from local.processing_job import run_script
from local.research_environment import build_image
from research.launch import SCRIPT

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(bool(images.missing()), reason=f"stages are not built: {images.missing()}"),
]
Run = Callable[..., str]
HOME = "/home/sagemaker-user"
DISTRIBUTION = {
    "Dockerfile": """FROM {stand_in}
RUN apt-get update && apt-get install --yes --no-install-recommends build-essential git
RUN useradd --uid 1000 --gid 100 --create-home --shell /bin/bash sagemaker-user
COPY --chmod=755 micromamba entrypoint-code-editor /usr/local/bin/
RUN mkdir -p /opt/conda/bin && ln -s /usr/bin/python3 /opt/conda/bin/
RUN echo 'PATH=/opt/conda/bin:$PATH' >> /etc/profile
ENV MAMBA_USER=sagemaker-user
""",
    "micromamba": '#!/bin/sh\n[ "$1" = clean ] || python3 -m venv "$4"\n',
    "entrypoint-code-editor": '#!/bin/sh\necho "Code Editor $*"\n',
}
"""A base of the stage `code-editor`: what its commands need of SageMaker's distribution, and no editor."""
R_SCRIPT = """
folder <- "/opt/ml/processing"
counts <- readr::read_csv(file.path(folder, "input/data/cells.csv"), show_col_types = FALSE)
totals <- colSums(counts[-1])
readr::write_csv(tibble::tibble(cell = names(totals), umis = totals), file.path(folder, "output/totals.csv"))
cat(commandArgs(trailingOnly = TRUE), file = "/opt/ml/output/message")
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str], Run]]:
    """Build a stage for apps, and return a function that runs commands in a container of it as Studio's user."""
    if problem := images.refused():
        pytest.skip(f"stages are not built: {problem}")
    distribution = tmp_path_factory.mktemp("distribution")
    for name, text in DISTRIBUTION.items():
        (distribution / name).write_text(text.replace("{stand_in}", images.stand_in()))
    with ExitStack() as containers:

        def build(image: str, target: str) -> Run:
            bases = None
            if target == "code-editor":
                file = distribution / "Dockerfile"
                base = images.build(distribution, dockerfile=file, name="localhost/distribution")
                bases = {"BASE_DISTRIBUTION": base, "BASE_PYTHON": images.stand_in()}
            name = containers.enter_context(images.container(build_image(image, target, bases=bases)))

            def run(*words: str) -> str:
                command = images.command(name, *words, options=["--user=1000:100"], environment={"HOME": HOME})
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
                return done.stdout.strip()

            return run

        yield build


@pytest.mark.parametrize(
    ("image", "target", "command", "kernels"),
    [
        ("pegasus", "studio", ("prepare-home", "python3", "Pegasus"), {"python3"}),
        ("pegasus", "code-editor", ("entrypoint-code-editor", "--port", "8888"), {"pegasus"}),
        ("r", "studio", ("prepare-home", "python3", "Python"), {"python3", "ir"}),
    ],
)
def test_app_has_terminal_kernel_and_launcher(
    stage: Callable[[str, str], Run], image: str, target: str, command: tuple[str, ...], kernels: set[str]
) -> None:
    """In the home folder that the app's command has prepared. Terminals of JupyterLab are login shells of $SHELL."""
    run = stage(image, target)
    started = run(*command)
    assert target != "code-editor" or started == "Code Editor --port 8888"
    commands = "cd ~\ncommand -v python3 pip git\npython3 -m research.launch --help\nls research/notebooks"
    for shell in ('"$SHELL" -l', "bash -i") if target == "code-editor" else ('"$SHELL" -l',):
        printed = run("sh", "-c", f"SHELL=/bin/bash; printf '%s\\n' '{commands}' | {shell}")
        lines = printed.splitlines()
        assert f"{HOME}/.own-packages/bin/python3" in lines
        assert f"{HOME}/.own-packages/bin/pip" in lines
        assert "/usr/bin/git" in lines
        assert "usage: python -m research.launch" in printed
        assert "launch_a_job.ipynb" in printed
    own = f"{HOME}/.own-packages/bin/python"
    found = run(own, "-m", "jupyter_client.kernelspecapp", "list", "--json")
    assert kernels <= set(json.loads(found)["kernelspecs"])
    packages = "boto3, ipywidgets, scanpy" if image == "r" else "boto3, ipywidgets, pegasus, scanpy"
    printed = run(own, "-W", "ignore", "-c", f"import {packages}, sys; print(sys.prefix)")
    assert printed.splitlines()[-1] == f"{HOME}/.own-packages"


@pytest.mark.parametrize("image", ["pegasus", "r"])
def test_job_runs_as_in_sagemaker(image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole: as `make job` runs it in the image."""
    if problem := images.refused():
        pytest.skip(f"stages are not built: {problem}")
    script, arguments = SCRIPT, ["--transpose", "no"]
    if image == "r":
        script, arguments = tmp_path / "totals.R", ["all", "totals"]
        script.write_text(R_SCRIPT)
    rows = [",".join(["gene", *(f"cell-{number}" for number in range(20))])]
    for row, gene in enumerate([*(f"GENE{number}" for number in range(900)), "MT-CO1"]):
        rows.append(",".join([gene, *(str((row * 31 + cell * cell * 17) % (4 + cell)) for cell in range(20))]))
    (tmp_path / "cells.csv").write_text("\n".join(rows))
    results = tmp_path / "results"
    assert run_script(tmp_path / "cells.csv", arguments, script=script, results=results, image=image) == 0
    printed = capsys.readouterr().out
    if image == "r":
        assert ": all totals" in printed
        columns = list(zip(*(row.split(",") for row in rows), strict=True))[1:]
        totals = [f"{name},{sum(map(int, counts))}" for name, *counts in columns]
        assert (results / "totals.csv").read_text().splitlines() == ["cell,umis", *totals]
    else:
        assert ": 20 of 20 cells kept" in printed
        assert ",20," in (results / "qc_metrics.csv").read_text()
