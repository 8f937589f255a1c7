"""Patches of ECS: a task runs the command of its image. A process on this machine stands in for the container."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import threading
import venv
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import ecr, ecs, eventbridge, s3, sts

from local import images
from local.patches.lambda_ import link_package
from local.patches.patch import patch, replaces, rewrite

_processes: dict[str, subprocess.Popen[str]] = {}


@patch
def tasks_run() -> None:
    """Run each task whose image was built in the emulator.

    AWS: Fargate pulls the image and runs its containers with the task role's credentials. Their output goes to the log
    group. A task stops when its container ends.

    The emulator: without a container engine a task is recorded, and is RUNNING for ever. With the patch, the command of
    the Dockerfile runs as a process in the build context, with the packages of its requirements.txt; or, with
    COATCHECK_IMAGES in the environment, in a container of the image. A task with an image of another registry is
    recorded as before.
    """
    rewrite(ecs, "_run_task", ("docker_backed = bool(docker_client)", "docker_backed = True"))

    @replaces(ecs, "_start_task_worker")
    def start(_original: Any, task: Any, definition: Any, overrides: Sequence[Any], _docker: object) -> None:
        arn = task["taskArn"]
        if not (ecs._mark_task_pending(arn, task) and ecs._mark_task_activating(arn, task)):
            return
        (container, *others) = definition["containerDefinitions"]
        image = _image(container["image"])
        if image is None:
            ecs._mark_task_running(arn, task)
            return
        if others:
            raise ValueError(f"{definition['family']}: the local emulator runs tasks with one container.")
        override = ecs._container_override_for(overrides, container["name"])
        code = _run(
            task,
            definition,
            {**container, **{name: override[name] for name in _COMMAND & override.keys()}},
            {**_variables(container), **_variables(override)},
            image,
        )
        ecs._mark_task_stopped(arn, task, "Essential container in task exited", "EssentialContainerExited", code)

    @replaces(ecs, "_watch_task_lifecycle")
    def watch(_original: Any, *_: object) -> None:
        """Do nothing: `start` returns when a task has ended."""

    @replaces(ecs, "_cleanup_task_resources")
    def clean_up(original: Any, task: Any, *rest: object) -> None:
        if process := _processes.get(task["taskArn"]):
            process.kill()
        original(task, *rest)


@patch
def task_states_are_events() -> None:
    """Put an event on the account's default bus for each state of a task.

    AWS: "ECS Task State Change", with the task as `DescribeTasks` describes it. The emulator: puts no event.
    """

    def publish(original: Any, arn: str, task: Any, *rest: Any, **named: Any) -> Any:
        changed = original(arn, task, *rest, **named)
        if changed:
            event = {"Source": "aws.ecs", "DetailType": "ECS Task State Change", "Resources": [arn]}
            detail = json.dumps(ecs._sanitize(task) | {"updatedAt": ecs._iso()})
            eventbridge._put_events({"Entries": [{**event, "Detail": detail}]}, allow_aws_source=True)
        return changed

    for state in ("_mark_task_pending", "_mark_task_running", "_mark_task_stopped"):
        replaces(ecs, state)(publish)


_COMMAND = {"command"}


@dataclass(frozen=True)
class _Image:
    """A build context, and its Dockerfile's settings of the container's start."""

    folder: Path
    python: Path | None
    """The folder of a Python interpreter with the packages of requirements.txt, for a process."""
    name: str | None
    """The name of the built image, for a container. One of both is None."""
    entry_point: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


_images: dict[str, _Image] = {}
_lock = threading.Lock()
_URI = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/([^@]+)@(sha256:[0-9a-f]{64})")


def _image(uri: str) -> _Image | None:
    """Return the image, or None if it is not one that a build in this account has made."""
    match = _URI.fullmatch(uri)
    recorded = ecr._images.get(match[1], []) if match else []
    manifests = [json.loads(each["imageManifest"]) for each in recorded if match and each["imageDigest"] == match[2]]
    if not manifests or "source" not in manifests[0]:
        return None
    with _lock:
        if uri not in _images:
            _images[uri] = _unpack(manifests[0])
        return _images[uri]


def _unpack(manifest: Mapping[str, str]) -> _Image:
    bucket, _, key = manifest["source"].partition("/")
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    with zipfile.ZipFile(io.BytesIO(s3._get_object_data(bucket, key))) as archive:
        archive.extractall(folder / "context")
    context, dockerfile = folder / "context", folder / "context" / manifest["dockerfile"]
    if "COATCHECK_IMAGES" in os.environ:
        name = images.build(context, dockerfile=dockerfile, name=f"localhost/task:{manifest['tag'].lower()}")
        return _Image(context, python=None, name=name, **_read_dockerfile(dockerfile))
    return _Image(context, python=_make_python(folder), name=None, **_read_dockerfile(dockerfile))


def _make_python(folder: Path) -> Path:
    """Make an interpreter with the packages of the context's requirements.txt that are installed here."""
    venv.EnvBuilder(symlinks=True).create(folder / "python")
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "python")}))
    requirements = folder / "context" / "requirements.txt"
    text = requirements.read_text() if requirements.exists() else ""
    for name in re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", text, flags=re.MULTILINE):
        try:
            link_package(name, packages)
        except PackageNotFoundError:
            print(f"{name} is not installed here: the task's process does not have it.", file=sys.stderr)
    return folder / "python" / "bin"


def _read_dockerfile(dockerfile: Path) -> dict[str, Any]:
    """Return the settings of a container's start in the Dockerfile's last stage."""
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    instructions = re.findall(r"^\s*(FROM|ENV|ENTRYPOINT|CMD)\s+(.+?)\s*$", text, flags=re.MULTILINE | re.IGNORECASE)
    image: dict[str, Any] = {}
    for instruction, value in instructions:
        match instruction.upper():
            case "FROM":
                image = {"environment": {}}
            case "ENV":
                image["environment"] |= dict(part.partition("=")[::2] for part in shlex.split(value))
            case "ENTRYPOINT":
                image["entry_point"] = _words(value)
            case "CMD":
                image["command"] = _words(value)
    return image


def _words(value: str) -> list[str]:
    """Return the words of a command in JSON, or that of a shell."""
    words: list[str] = json.loads(value) if value.startswith("[") else ["/bin/sh", "-c", value]
    return words


def _variables(container: Mapping[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container.get("environment", ())}


def _run(
    task: Mapping[str, Any],
    definition: Mapping[str, Any],
    container: Mapping[str, Any],
    environment: dict[str, str],
    image: _Image,
) -> int:
    """Run the container's command to its end, and return its exit code as a shell does."""
    arn = task["taskArn"]
    log = ecs._awslogs_config(container, arn.rsplit("/", 1)[1], new_uuid())
    if log and not ecs._ensure_awslogs_stream(log):
        raise ValueError(f"log group {log['group']} does not exist")
    words = [*(container.get("entryPoint") or image.entry_point), *(container.get("command") or image.command)]
    variables = _platform() | _credentials(arn, definition.get("taskRoleArn", "")) | environment
    with _start(image, words, variables) as process:
        _processes[arn] = process
        ecs._mark_task_running(arn, task)
        assert process.stdout
        for line in process.stdout:
            if log:
                ecs._emit_awslogs_event(log, line.rstrip("\n"))
        code = process.wait()
        del _processes[arn]
    return code if code >= 0 else 128 - code


@contextmanager
def _start(image: _Image, words: Sequence[str], variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start the words in a container of the image, or as a process in its build context."""
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    if image.name:
        inside = "/run/authority.pem"
        volume = f"--volume={os.environ['AWS_CA_BUNDLE']}:{inside}:ro"
        with images.container(image.name) as name:
            command = images.command(name, *words, options=[volume], environment={**variables, "AWS_CA_BUNDLE": inside})
            yield subprocess.Popen(command, text=True, errors="replace", **pipes)
        return
    with tempfile.TemporaryDirectory(prefix="task-") as home:
        path = os.pathsep.join([str(image.python), os.defpath])
        own = {"PATH": path, "LANG": "C.UTF-8", "HOME": home, "TMPDIR": home, **image.environment}
        yield subprocess.Popen(words, cwd=image.folder, env={**own, **variables}, text=True, errors="replace", **pipes)


def _platform() -> dict[str, str]:
    """Return the variables that Fargate sets, and those that lead to the emulator."""
    return {
        "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
        "AWS_REGION": get_region(),
        "AWS_DEFAULT_REGION": get_region(),
        "AWS_ENDPOINT_URL": f"https://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "AWS_CA_BUNDLE": os.environ["AWS_CA_BUNDLE"],
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _credentials(task_arn: str, role_arn: str) -> dict[str, str]:
    """Register a session of the task's role and return its credentials. A task without a role has none."""
    if not role_arn:
        return {}
    key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_urlsafe(30), secrets.token_urlsafe(60)
    role, session = role_arn.rsplit("/", 1)[1], task_arn.rsplit("/", 1)[1]
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{get_account_id()}:assumed-role/{role}/{session}",
            "UserId": f"{role}:{session}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
