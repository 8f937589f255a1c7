"""The research images on this machine: built without Docker, or a virtual environment with the image's packages."""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local import environment, images
from local.machine import make_folder

ROOT = Path(__file__).parents[1]
IMAGE = ROOT / "research" / "image" / "pegasus"
PINS = (IMAGE / "build.txt", IMAGE / "requirements.txt", IMAGE / "studio.txt")
VARIABLES = {"HNSWLIB_NO_NATIVE": "1"}
"""Variables of the Dockerfile's installation: hnswlib's native code runs on other machines, too."""
PYTHON = "3.11"
"""The image's Python version, for which the packages are pinned."""


class NotInstalled(Exception):
    """The virtual environment cannot be created. The message contains the output of uv."""


def folder() -> Path:
    """Return the folder of the virtual environment, below build/. Its name depends on the content of the pins."""
    content = b"".join(pins.read_bytes() for pins in PINS)
    return ROOT / "build" / "research" / hashlib.sha256(content).hexdigest()[:16]


def installed() -> bool:
    """Return whether the virtual environment is complete."""
    return (folder() / "installed").exists()


def python() -> Path:
    """Return the path of the interpreter."""
    return folder() / "bin" / "python"


def install() -> Path:
    """Create the virtual environment if it does not exist, and return its interpreter.

    It has 900 MB and needs about a minute if the packages are cached.

    Raises:
        NotInstalled: Python of the image's version is missing, or a package could not be installed.
        NotWritable: nothing can be written below build/.
    """
    if installed():
        return python()
    make_folder(folder(), remedy="Use a copy of this project in a folder of yours, or an interpreter: --python FILE.")
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", PYTHON, str(folder())])
    for pins in PINS:
        options = ["--python", str(python()), "--require-hashes", "--no-build-isolation"]
        _run([uv, "pip", "install", "--quiet", *options, "--requirement", str(pins)])
    (folder() / "installed").touch()
    return python()


def build_image(name: str, target: str, *, bases: Mapping[str, str] | None = None) -> str:
    """Build a stage of research/image/NAME and return the image's name. Its layers are kept.

    Args:
        name: The folder.
        target: The stage.
        bases: Base images by build argument, instead of a stand-in for Python's.

    Raises:
        ImageError: The image cannot be built, or not on this machine.
    """
    if problem := images.refused():
        raise images.ImageError(f"Images cannot be built here: {problem}.")
    dockerfile = IMAGE.parent / name / "Dockerfile"
    bases = bases or {"BASE_PYTHON": images.stand_in()}
    arguments = [f"--build-arg={argument}={base}" for argument, base in bases.items()]
    return images.build(
        ROOT / "research",
        dockerfile=dockerfile,
        name=f"localhost/{name}-{target}",
        options=["--ignorefile", f"{dockerfile}.dockerignore", "--target", target, *arguments],
    )


def _run(command: list[str]) -> None:
    variables = {**environment.users(), **VARIABLES}
    process = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if process.returncode:
        raise NotInstalled(f"{' '.join(command)}\n{process.stderr}")
