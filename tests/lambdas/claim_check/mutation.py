"""Mutation testing of the library: changes of its code that its tests must detect.

    python -m venv build/mutation && build/mutation/bin/pip install -r requirements.txt
    build/mutation/bin/pip install mutmut==3.8.1  # separately, because requirements.txt has hashes
    build/mutation/bin/python -m tests.lambdas.claim_check.mutation FOLDER [CHILDREN] [SAMPLE]

tests/README.md has the score. Most mutants that survive do not change the program: "UTF-8" for "utf-8",
None for False, an argument with its default value, a fast path that is not used.

mutmut is no dependency of the project. A complete run needs about an hour with two CHILDREN; SAMPLE limits it to that
number of random mutants. FOLDER is created anew, with copies of the library and its tests. It also holds the results:
`cd FOLDER; mutmut results`, `mutmut show NAME`.

Tests that start other processes are omitted, because mutmut cannot see into them. hypothesis tries fewer examples, and
does not shrink failures.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LEFT_OUT = (
    "test_distribution.py",
    "test_footprint.py",
    "test_readme.py",
    "test_services.py",
    "mutation.py",
    "__pycache__",
)
CHEAPER = {
    r'"house", max_examples=60': '"house", phases=settings.default.phases[:3], max_examples=15',
    r"max_examples=300\b": "max_examples=40",
    r"phases=\[Phase.generate, Phase.shrink\]": "phases=[Phase.generate]",
    r"run\(500": "run(300",
}
SETTINGS = """\
[mutmut]
source_paths=claim_check
also_copy=tests
pytest_add_cli_args_test_selection=tests/lambdas/claim_check
"""
PYTEST = """\
[tool.pytest]
minversion = "9.0"
pythonpath = ["."]
addopts = ["--import-mode=importlib"]
"""


def prepare(folder: Path) -> None:
    """Copy the library as a top-level package, so that mutmut and the tests use the same module names."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(
        ROOT / "lambdas" / "claim_check", folder / "claim_check", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(
        ROOT / "tests" / "lambdas" / "claim_check",
        folder / "tests" / "lambdas" / "claim_check",
        ignore=shutil.ignore_patterns(*LEFT_OUT),
    )
    shutil.copy(ROOT / "tests" / "__init__.py", folder / "tests")
    for path in (folder / "tests").rglob("*.py"):
        text = path.read_text()
        for pattern, replacement in CHEAPER.items():
            text = re.sub(pattern, replacement, text)
        path.write_text(text)
    (folder / "setup.cfg").write_text(SETTINGS)
    (folder / "pyproject.toml").write_text(PYTEST)


def sample(folder: Path, count: int) -> list[str]:
    """Return the names of `count` random mutants, after mutmut has generated all."""
    files = sorted((folder / "mutants").rglob("*.meta"))
    names = [name for file in files for name in json.loads(file.read_text())["exit_code_by_key"]]
    return random.sample(names, min(count, len(names)))


def main(folder: Path, children: str = "2", count: str = "0") -> None:
    prepare(folder)
    mutmut = [str(Path(sys.executable).with_name("mutmut"))]
    run = [*mutmut, "run", "--max-children", children]
    names = []
    if int(count):
        subprocess.run([*run, "claim_check.errors.x_disposition__mutmut_1"], cwd=folder, check=True)
        names = sample(folder, int(count))
    subprocess.run([*run, *names], cwd=folder, check=True)
    subprocess.run([*mutmut, "results"], cwd=folder, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:4])
