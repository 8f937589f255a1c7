"""The version, in every place that has it."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_project_and_library_have_one_version() -> None:
    versions = {
        file: tomllib.loads((ROOT / file).read_text())["project"]["version"]
        for file in ("pyproject.toml", "lambdas/pyproject.toml")
    }
    assert len(set(versions.values())) == 1, versions
