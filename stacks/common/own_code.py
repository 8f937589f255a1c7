"""An application's own code and its requirements, as files of a function's asset.

Requirements are installed for any platform, so that no Docker is needed: packages of pure Python alone. Without
requirements, synthesis needs no network.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from stacks.deployment.own_code import OWN_CODE, REQUIREMENTS

LARGEST_BYTES = 250_000_000
"""Lambda allows 250 MiB of code without compression, and coatcheck's has 5 MB. (Lambda developer guide, "Quotas".)"""
_PYTHON = "3.14"
_LEFT_OUT = re.compile(r"(^|/)(\.|__pycache__|tests?/|test_[^/]*\.py$|conftest\.py$)|\.pyc$")
"""Hidden files, tests, and compiled modules."""
_OF_INSTALLERS = re.compile(r"^bin/|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$|__pycache__/|\.pyc$")
"""Files that differ between machines and would change the asset's hash."""
_NATIVE = re.compile(r"\.(so|pyd|dylib|dll)(\.|$)")
_ONLY_PURE = 'which own code needs. Use another package, or application = "ecs_task", whose image can have it.'


class RequirementsError(Exception):
    """Requirements cannot be installed."""


def own_code_files(folder: Path) -> Mapping[str, bytes]:
    """Return the files of the folder and of its requirements, by their names in the asset.

    Raises:
        RequirementsError: A requirement does not exist, or is not pure Python. The text names it.
    """
    files = dict(_files(folder, _LEFT_OUT))
    if (requirements := folder / REQUIREMENTS).exists():
        files = {**_installed(requirements), **files}
    if (size := sum(map(len, files.values()))) > LARGEST_BYTES:
        raise RequirementsError(
            f"{folder}: its files and requirements have {size:,} bytes. Lambda allows {LARGEST_BYTES:,}. "
            'Remove files, or use application = "ecs_task".'
        )
    return {OWN_CODE + name: content for name, content in files.items()}


def _files(folder: Path, left_out: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not left_out.search(name):
            yield name, path.read_bytes()


def _installed(requirements: Path) -> dict[str, bytes]:
    """Return the installed packages' files."""
    with TemporaryDirectory(prefix="coatcheck-requirements-") as target:
        pure = ("--only-binary=:all:", "--platform=any", "--abi=none", "--implementation=py")
        quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-compile")
        options = (*pure, f"--python-version={_PYTHON}", *quiet, f"--target={target}", f"--requirement={requirements}")
        result = subprocess.run(  # noqa: S603 - pip, with fixed arguments
            [sys.executable, "-m", "pip", "install", *options],
            cwd=requirements.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise RequirementsError(_explain(requirements, result.stderr))
        files = dict(_files(Path(target), _OF_INSTALLERS))
    for name in files:
        if _NATIVE.search(name):
            raise RequirementsError(f"{requirements}: {name} is a native library, {_ONLY_PURE}")
    return files


def _explain(requirements: Path, output: str) -> str:
    missing = re.search(r"No matching distribution found for (\S+)", output)
    wheel = re.search(r"ERROR: (\S+\.whl) is not a supported wheel", output)
    if found := missing or wheel:
        return f"{requirements}: {found[1]} has no version in pure Python (a wheel for any platform), {_ONLY_PURE}"
    last = [line for line in output.splitlines() if line.strip()][-1:] or ["pip printed no reason"]
    return f"{requirements}: pip cannot install it: {last[0]}. Fix the file, or the connection to the package index."
