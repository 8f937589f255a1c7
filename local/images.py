"""Container images, built from their Dockerfiles and run with buildah. No daemon runs, and no registry is used.

A Debian with Python, from debootstrap, replaces every base image, under the base's own name. So a build proves the
Dockerfile's commands, and not the content of the base. Building needs root and the packages buildah and debootstrap.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""The user's path, and the folders of commands for root."""
STORE = Path(__file__).resolve().parents[1] / "build" / "images"
"""The images of earlier builds: gigabytes, so that later builds take seconds."""
_BUILDAH = ("buildah", "--root", f"{STORE}/store", "--runroot", f"{STORE}/run", "--storage-driver", "overlay")
_STAND_IN = "localhost/stand-in:1"
_PACKAGES = "python3,python3-dev,python3-venv,python3-pip,ca-certificates"
_CONFIGURATION = ("etc/apt/apt.conf.d", "etc/pip.conf", "etc/resolv.conf", "root/.config/pip", "root/.pip")
"""Settings of this machine for its package indexes."""
_ISOLATION = ("--isolation", "chroot")
_CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"
_BASE = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.MULTILINE | re.IGNORECASE)


class ImageError(RuntimeError):
    """buildah or debootstrap failed. The message ends with the last lines of the output."""


def missing() -> str | None:
    """Return the missing requirements of image builds on this machine, or None."""
    programs = [program for program in ("buildah", "debootstrap") if not shutil.which(program, path=PATH)]
    if os.geteuid() != 0:
        programs.append("root")
    return f"needs {' and '.join(programs)}" if programs else None


@cache
def refused() -> str | None:
    """Return why this machine cannot build images: it refuses mounts in a container, for example. None: it can."""
    if problem := missing():
        return problem
    try:
        with _lock(), TemporaryDirectory() as folder:
            os.mknod(Path(folder) / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
            name = buildah("from", "scratch")
            buildah("mount", name)
            buildah("rm", name)
    except (ImageError, OSError) as error:
        return f"this machine refuses it: {error}"
    return None


def buildah(*arguments: str | Path, check: bool = True) -> str:
    """Run buildah with the store of this project, and return its output. Raises ImageError."""
    return _run([*_BUILDAH, *map(str, arguments)], check=check)


def build(context: Path, *, dockerfile: Path, name: str, options: Sequence[str] = ()) -> str:
    """Build an image with stand-ins for its bases, and return its name. Layers are kept. Raises ImageError."""
    with _lock():
        for base in bases(dockerfile.read_text()):
            _add_stand_in(base)
        settings = [*_ISOLATION, "--pull-never", "--network", "host", "--layers", "--volume", _CERTIFICATES]
        buildah("bud", *settings, *options, "--file", dockerfile, "--tag", name, context)
    return name


def bases(dockerfile: str) -> list[str]:
    """Return the images that a Dockerfile's stages begin with, without its own stages and build arguments."""
    found, stages = [], set()
    for image, stage in _BASE.findall(dockerfile):
        if image not in stages and "$" not in image and image != "scratch":
            found.append(image)
        stages.add(stage)
    return list(dict.fromkeys(found))


@contextmanager
def container(image: str) -> Iterator[str]:
    """Create a container of an image. Yield its name, for `command`, and remove it at the end."""
    name = buildah("from", "--pull-never", image)
    try:
        yield name
    finally:
        buildah("rm", name)


def command(
    name: str, *words: str, options: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> list[str]:
    """Return the command that runs words in a container, as the image's user unless an option says otherwise."""
    variables = [f"--env={variable}={value}" for variable, value in (environment or {}).items()]
    return [*_BUILDAH, "run", *_ISOLATION, *options, *variables, name, "--", *words]


def stand_in() -> str:
    """Return the name of the image that stands in for bases. It is made on first use, in a minute or two."""
    with _lock():
        _make_stand_in()
    return _STAND_IN


def _add_stand_in(base: str) -> None:
    _make_stand_in()
    if not buildah("images", "--quiet", "--filter", f"reference={base}", check=False):
        buildah("tag", _STAND_IN, base)


def _make_stand_in() -> None:
    if buildah("images", "--quiet", "--filter", f"reference={_STAND_IN}", check=False):
        return
    with TemporaryDirectory() as parent:
        folder = Path(parent) / "base"
        _run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(folder)])
        (folder / "usr/bin/python").symlink_to("python3")
        (folder / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
        for name in _CONFIGURATION:
            source, target = Path("/", name), folder / name
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        new = buildah("from", "scratch")
        buildah("copy", "--quiet", new, folder, "/")
        buildah("commit", "--quiet", new, _STAND_IN)
        buildah("rm", new)


@contextmanager
def _lock() -> Iterator[None]:
    """Hold the lock with which one process builds at a time."""
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(arguments: Sequence[str], *, check: bool = True) -> str:
    variables = {**os.environ, "PATH": PATH}
    done = subprocess.run(arguments, env=variables, capture_output=True, text=True, errors="replace", check=False)
    if check and done.returncode:
        last = (done.stdout + done.stderr)[-2000:]
        raise ImageError(f"`{' '.join(arguments[:2])}` ended with code {done.returncode}:\n{last}")
    return done.stdout.strip()
