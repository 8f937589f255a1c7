"""What an image is built from: a folder with a Dockerfile, and the library beside it. Staged here, with no Docker."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stacks.common.bundle import LAMBDAS
from stacks.deployment.ecs_task import LIBRARY

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "README.md")


@contextmanager
def with_library(folder: Path) -> Iterator[Path]:
    """A copy of the folder with the package `claim_check` in it, for as long as the context lasts."""
    with TemporaryDirectory() as staged:
        shutil.copytree(folder, staged, dirs_exist_ok=True)
        shutil.copytree(LAMBDAS / LIBRARY, Path(staged) / LIBRARY, ignore=_LEFT_OUT)
        yield Path(staged)
