"""A processing job on this machine, without Docker, from the request that SageMaker would receive.

The request, the folders below /opt/ml, their files, the arguments, the time limit and the message file are SageMaker's.
The script can use the network. In a container of the built image, nothing else differs. Otherwise the root of the
folders is a temporary folder; PROCESSING_DIR is the path of `processing` in it. The packages are the image's; all other
software is this machine's. An ordinary user runs the job, so that a script that needs root fails here.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from local import images, research_environment
from local.interruption import interrupt_on_signals
from local.machine import make_folder
from local.private_folder import PrivateFolder
from research import launch, processing_job
from research.script import write

OPT_ML = "/opt/ml"
LOCAL_ENVIRONMENT = processing_job.Environment(
    bucket="local",
    key="local",
    job_prefix="local-",
    processing_role="local",
    processing_image="local",
    subnets=["local"],
    security_group="local",
)
"""The job environment in requests of jobs on this machine."""
_USER, _GROUP = 1000, 100  # Studio's user, as which root runs a job

Fetch = Callable[[str, Path], None]
"""A function that copies the objects at an s3:// URI into a folder."""


@dataclass(frozen=True)
class JobResult:
    """The end of a job."""

    status: str
    """SageMaker's status: Completed, Failed or Stopped."""
    exit_code: int
    message: str
    """The content of the job's message file."""
    output: Path
    """The folder of the job's output."""


def run(
    request: dict[str, Any],
    root: Path,
    *,
    python: Path | None = None,
    container: str | None = None,
    fetch: Fetch,
    log: Callable[[str], None],
) -> JobResult:
    """Run the job of a request to CreateProcessingJob below the folder `root`. The output remains there.

    Args:
        request: The request.
        root: An empty folder.
        python: The interpreter, unless there is a container.
        container: A container of the image, from `images.container`.
        fetch: Provides the input.
        log: Is called with each line that the job prints.
    """
    outputs = [output["S3Output"]["LocalPath"] for output in request["ProcessingOutputConfig"]["Outputs"]]
    for path in (*outputs, f"{OPT_ML}/output", f"{OPT_ML}/config"):
        _below(root, path).mkdir(parents=True)
    for source in request["ProcessingInputs"]:
        folder = _below(root, source["S3Input"]["LocalPath"])
        folder.mkdir(parents=True)
        fetch(source["S3Input"]["S3Uri"], folder)
    config = _below(root, f"{OPT_ML}/config")
    (config / "processingjobconfig.json").write_text(json.dumps(request))
    (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))

    application: dict[str, list[str]] = request["AppSpecification"]
    words = [*application["ContainerEntrypoint"], *application.get("ContainerArguments", [])]
    variables = request.get("Environment", {})
    if container:
        volume = f"--volume={_below(root, OPT_ML)}:{OPT_ML}"
        options: dict[str, Any] = {
            "args": images.command(container, *words, options=[volume], environment=variables),
        }
    else:
        assert python
        options = _without_image(root, python, words, log)
        options["env"] |= variables
    process = subprocess.Popen(
        **options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True
    )
    status = _wait(process, request["StoppingCondition"]["MaxRuntimeInSeconds"], log)
    file = _below(root, f"{OPT_ML}/output/message")
    message = file.read_text() if file.exists() else ""
    return JobResult(status, process.returncode, message, _below(root, outputs[0]))


def _without_image(root: Path, python: Path, words: Sequence[str], log: Callable[[str], None]) -> dict[str, Any]:
    """Return arguments of subprocess.Popen that run the command with an interpreter of this machine."""
    assert words[0] == "python3", f"{words[0]}: of the image, only Python is available on this machine. Use --image."
    return {
        "args": [python, *(str(_below(root, each)) if each.startswith(f"{OPT_ML}/") else each for each in words[1:])],
        "cwd": root,
        "env": {
            "PATH": f"{python.parent}:/usr/bin:/bin",
            "HOME": str(root),
            "PYTHONUNBUFFERED": "1",
            "PROCESSING_DIR": str(_below(root, processing_job.PROCESSING)),
        },
        **_ordinary_user(root, python, log),
    }


def _wait(process: subprocess.Popen[str], seconds: float, log: Callable[[str], None]) -> str:
    limit = threading.Timer(seconds, _kill, (process,))
    limit.start()
    try:
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                log(line.rstrip("\n"))
        process.wait()
        stopped = not limit.is_alive()
    finally:
        limit.cancel()
        _kill(process)
        process.wait()
    return "Stopped" if stopped else "Failed" if process.returncode else "Completed"


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _ordinary_user(root: Path, python: Path, log: Callable[[str], None]) -> dict[str, Any]:
    """Return arguments that make subprocess.Popen use an ordinary user, if this process is root's."""
    if os.geteuid() != 0:
        return {}
    user: dict[str, Any] = {"user": _USER, "group": _GROUP, "extra_groups": []}
    try:
        subprocess.run([python, "-c", ""], cwd="/", env={}, capture_output=True, check=True, **user)
        for path in (root, *root.rglob("*")):
            os.chown(path, _USER, _GROUP)
        # Not with `cwd=root`: Popen enters that folder before it changes the user.
        enter = [str(python), "-c", "import os, sys; os.listdir(sys.argv[1])", str(root)]
        subprocess.run(enter, cwd="/", env={}, capture_output=True, check=True, **user)
    except (OSError, subprocess.CalledProcessError):
        log(f"The job runs as root: an ordinary user may not run {python} or enter {root}.")
        return {}
    return user


def _below(root: Path, path: str) -> Path:
    """Return the path on this machine of an absolute path of the container."""
    return root / path.lstrip("/")


@interrupt_on_signals()
def run_script(
    data: Path,
    arguments: Sequence[str] = (),
    *,
    script: Path = launch.SCRIPT,
    results: Path | None = None,
    python: Path | None = None,
    image: str | None = None,
) -> int:
    """Run a script as a processing job, copy its output to `results`, and return its exit code.

    With `image`, the script runs in the stage `processing` of research/image/IMAGE, which is built. Otherwise, without
    `python`, it runs in a virtual environment with the packages of the research image, which is created on first use.

    Raises:
        NotInstalled: the virtual environment cannot be created.
        ImageError: the image cannot be built.
        NotWritable: `results` or the folder of the virtual environment cannot be written.
    """
    name = launch.job_name(LOCAL_ENVIRONMENT.job_prefix, script)
    results = results or Path("build") / "jobs" / name
    make_folder(results, remedy="Write results to another folder: --results DIR.")
    if image:
        _print(f"Building research/image/{image}: some 10 minutes the first time")
        image = research_environment.build_image(image, "processing")
    elif script.suffix == ".R":
        raise research_environment.NotInstalled(f"{script}: R is in no virtual environment. Use --image r.")
    elif not python:
        if not research_environment.installed():
            place = os.path.relpath(research_environment.folder())
            _print(f"Installing the packages of the research image in {place}, 900 MB. Later jobs use them.")
        python = research_environment.install()
    request = launch.request(
        LOCAL_ENVIRONMENT, name=name, script=script, data=str(data), arguments=arguments, volume_gb=1
    )
    sources = {request["ProcessingInputs"][0]["S3Input"]["S3Uri"]: data}
    start = time.monotonic()

    with PrivateFolder() as folder, images.container(image) if image else contextlib.nullcontext() as container:

        def fetch(uri: str, target: Path) -> None:
            source = sources.get(uri)
            if not source:
                write(script, target)
            elif source.is_dir():
                _print(f"Copying {source}")
                shutil.copytree(source, target / source.name, ignore=_ignore(folder.path))
            else:
                shutil.copy(source, target)

        result = run(request, folder.path, python=python, container=container, fetch=fetch, log=_print)
        shutil.copytree(result.output, results, dirs_exist_ok=True)
    ended = f"{name} {result.status} after {time.monotonic() - start:.0f} s"
    _print(ended + (f": {result.message}" if result.message else ""))
    for file in sorted(path for path in results.rglob("*") if path.is_file()):
        _print(str(file))
    return result.exit_code


_print = partial(print, flush=True)
"""Progress is seen at once, also in a pipe."""


def _ignore(run: Path) -> Callable[[str, list[str]], list[str]]:
    """Return a function for copytree that leaves out the folder of this run: TMPDIR can be inside the data."""
    run = run.resolve()
    return lambda folder, names: [name for name in names if Path(folder).resolve() / name == run]
