"""A virtual environment with what the research image installs: as near to the image as it gets without Docker."""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGE = ROOT / "research" / "image" / "pegasus"
PINS = (IMAGE / "requirements.txt", IMAGE / "studio.txt")
PYTHON = "3.11"
"""The image's Python, which the pins are for."""


class NotInstalled(Exception):
    """It could not be made. The message says what to do."""


def folder() -> Path:
    """Where it is or would be: below build/, by the pins' content."""
    content = b"".join(pins.read_bytes() for pins in PINS)
    return ROOT / "build" / "research" / hashlib.sha256(content).hexdigest()[:16]


def installed() -> bool:
    """Whether it is there, whole."""
    return (folder() / "installed").exists()


def python() -> Path:
    """Its interpreter."""
    return folder() / "bin" / "python"


def install() -> Path:
    """Make it unless it is there: 900 MB, in about a minute when the packages are cached. Answers its interpreter.

    Raises:
        NotInstalled: no Python of the image's version here, or a package that could not be installed.
    """
    if installed():
        return python()
    uv = str(Path(sys.executable).with_name("uv"))
    _run([uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", PYTHON, str(folder())])
    for pins in PINS:
        _run(
            [uv, "pip", "install", "--quiet", "--python", str(python()), "--require-hashes", "--requirement", str(pins)]
        )
    (folder() / "installed").touch()
    return python()


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NotInstalled(f"{' '.join(command)}\n{ran.stderr}")
