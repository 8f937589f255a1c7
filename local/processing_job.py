"""A processing job on this machine, without Docker: the request that SageMaker would be sent, done here.

What is as in SageMaker: the request (research/processing_job.py), the folders below opt/ml, their files, the
arguments, the limit in time,
 the file in which a job says why it ended. What is not: the root of it all is a folder, told as PROCESSING_DIR;
the packages are the image's, and the rest of the image is this machine; memory and cores are this machine's; nothing
keeps the script from the network. It is run by an ordinary user, so that a script which needs root is found here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import research_environment
from research import launch
from research import processing_job as step

USER, GROUP = 1000, 100
"""Studio's user, as whom the job runs where this is root."""
OPT_ML = "/opt/ml"
PLACE = step.Environment(
    bucket="local",
    key="local",
    job_prefix="local-",
    processing_role="local",
    processing_image="local",
    subnets=["local"],
    security_group="local",
)
"""Of the request for a job that only runs here."""


@dataclass(frozen=True)
class Ended:
    """status: Completed, Failed or Stopped, as SageMaker has it. message: what the job said last. output: results."""

    status: str
    exit_code: int
    message: str
    output: Path


Fetch = Callable[[str, Path], None]
"""Brings what is at an s3:// address into a folder."""


def run(request: dict[str, Any], root: Path, *, python: Path, fetch: Fetch, say: Callable[[str], None]) -> Ended:
    """Do what a request to CreateProcessingJob asks for, below `root`. Input comes by `fetch`; output stays there."""
    outputs = [each["S3Output"]["LocalPath"] for each in request["ProcessingOutputConfig"]["Outputs"]]
    for path in (*outputs, f"{OPT_ML}/output", f"{OPT_ML}/config"):
        below(root, path).mkdir(parents=True)
    for each in request["ProcessingInputs"]:
        folder = below(root, each["S3Input"]["LocalPath"])
        folder.mkdir(parents=True)
        fetch(each["S3Input"]["S3Uri"], folder)
    config = below(root, f"{OPT_ML}/config")
    (config / "processingjobconfig.json").write_text(json.dumps(request))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))

    what = request["AppSpecification"]
    entrypoint: list[str] = what["ContainerEntrypoint"]
    command, rest = entrypoint[0], [*entrypoint[1:], *what.get("ContainerArguments", [])]
    assert command == "python3", f"{command}: here is Python, and nothing else of the image"
    process = subprocess.Popen(
        [python, *(str(below(root, each)) if each.startswith(f"{OPT_ML}/") else each for each in rest)],
        cwd=root,
        env={
            "PATH": f"{python.parent}:/usr/bin:/bin",
            "HOME": str(root),
            "PROCESSING_DIR": str(below(root, step.PROCESSING)),
            **request.get("Environment", {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **_ordinary_user(root, python, say),
    )
    status = _wait(process, request["StoppingCondition"]["MaxRuntimeInSeconds"], say)
    told = below(root, f"{OPT_ML}/output/message")
    message = told.read_text() if told.exists() else ""
    return Ended(status, process.returncode, message, below(root, outputs[0]))


def _wait(process: subprocess.Popen[str], seconds: float, say: Callable[[str], None]) -> str:
    limit = threading.Timer(seconds, process.kill)
    limit.start()
    try:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                say(line.rstrip("\n"))
        process.wait()
        stopped = not limit.is_alive()
    finally:
        limit.cancel()
        process.kill()
        process.wait()
    return "Stopped" if stopped else "Failed" if process.returncode else "Completed"


def _ordinary_user(root: Path, python: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Nothing to do unless this is root."""
    if os.geteuid() != 0:
        return {}
    user: dict[str, Any] = {"user": USER, "group": GROUP, "extra_groups": []}
    try:
        subprocess.run([python, "-c", ""], cwd="/", env={}, capture_output=True, check=True, **user)
        for path in (root, *root.rglob("*")):
            os.chown(path, USER, GROUP)
        # Not by `cwd`, which is entered before root is given up.
        enter = [str(python), "-c", "import os, sys; os.listdir(sys.argv[1])", str(root)]
        subprocess.run(enter, cwd="/", env={}, capture_output=True, check=True, **user)
    except (OSError, subprocess.CalledProcessError):
        say(f"Runs as root: nobody else may run {python} here, or enter {root}.")
        return {}
    return user


def below(root: Path, path: str) -> Path:
    """Where an absolute path of the container is."""
    return root / path.lstrip("/")


def run_script(
    data: Path,
    arguments: Sequence[str] = (),
    *,
    script: Path = launch.SCRIPT,
    results: Path | None = None,
    python: Path | None = None,
) -> int:
    """Run a script as a processing job, copy its output to `results`, and return its exit code.

    Without `python` it runs in a virtual environment with the packages of the research image, which is made first.

    Raises:
        NotInstalled: the virtual environment cannot be made.
    """
    python = python or research_environment.install()
    name = launch.job_name(PLACE.job_prefix, script)
    request = launch.request(PLACE, name=name, script=script, data=str(data), arguments=arguments, volume_gb=1)
    sources = {request["ProcessingInputs"][0]["S3Input"]["S3Uri"]: data}

    def fetch(uri: str, folder: Path) -> None:
        source = sources.get(uri, script)
        if source.is_dir():
            shutil.copytree(source, folder / source.name)
        else:
            shutil.copy(source, folder)

    # In the system's temporary folder, which the job's user may enter.
    with tempfile.TemporaryDirectory(prefix="coatcheck-job-") as folder:
        Path(folder).chmod(0o755)
        ended = run(request, Path(folder), python=python, fetch=fetch, say=print)
        results = results or Path("build") / "jobs" / name
        shutil.copytree(ended.output, results, dirs_exist_ok=True)
    print(f"{name} {ended.status}" + (f": {ended.message}" if ended.message else ""))
    for file in sorted(path for path in results.rglob("*") if path.is_file()):
        print(file)
    return ended.exit_code
