"""The sample of own code: a copy of its folder is tested as applications/README.md says, and accepted."""

import shutil
import subprocess
import sys
from pathlib import Path

from stacks.deployment.own_code import CodeConfig
from stacks.deployment.types import FOLDER
from tests.templates import ROOT


def test_copied_folder_is_tested_and_accepted(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "applications" / "count_lines", tmp_path / "orders")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=tmp_path / "orders", capture_output=True, text=True, check=False)
    assert "2 passed" in result.stdout, result.stdout + result.stderr
    assert CodeConfig.model_validate({"folder": "orders"}, context={FOLDER: tmp_path}).path == tmp_path / "orders"
