"""Mutation testing of the library: is every line of it there for a reason that a test knows?

    python -m venv build/mutation && build/mutation/bin/pip install -r requirements.txt mutmut==3.8.1
    build/mutation/bin/python -m tests.lambdas.claim_check.mutation FOLDER [CHILDREN]

Of 3,504 mutants 2,914 have been tried, 1,576 of them before the newest tests and 1,338 drawn at random from the rest:
2,829 were killed, 97 %. Most that survive are the same program: "UTF-8" for "utf-8", None for False, an
argument that is the default, a fast path that is not taken.

mutmut is no dependency of the project: it takes half an hour, and belongs to whoever changes the library. It
works in FOLDER (made anew), on copies of the library and its tests, two processes at a time unless told otherwise, and
leaves its results there: `cd FOLDER; mutmut results`, `mutmut show NAME`.

Left out are the tests that start other processes, which mutmut cannot see into; hypothesis tries fewer examples,
and does not look for a smaller one of what failed.
"""

from __future__ import annotations

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
    r"run\(3_000": "run(300",
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
    """The library as a top-level package, so that mutmut and the tests call its modules by the same name."""
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


def main(folder: Path, children: str = "2") -> None:
    prepare(folder)
    mutmut = [str(Path(sys.executable).with_name("mutmut"))]
    subprocess.run([*mutmut, "run", "--max-children", children], cwd=folder, check=True)
    subprocess.run([*mutmut, "results"], cwd=folder, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
