"""The sample of own code: a copy of its folder is tested as applications/README.md says, and accepted."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from local.environment import ROOT
from stacks.deployment import load_messaging
from stacks.deployment.own_code import CodeConfig
from stacks.deployment.types import FOLDER


def test_copied_folder_is_tested_and_accepted(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "applications" / "count_lines", tmp_path / "orders")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=tmp_path / "orders", capture_output=True, text=True, check=False)
    assert "2 passed" in result.stdout, result.stdout + result.stderr
    assert CodeConfig.model_validate({"folder": "orders"}, context={FOLDER: tmp_path}).path == tmp_path / "orders"


def test_lines_of_the_page_attach_code_to_their_subscriber(tmp_path: Path) -> None:
    """Not to the last one of the file."""
    page = (ROOT / "applications" / "README.md").read_text()
    (block,) = re.findall(r"^ +```toml\n(.*?)^ +```", page, re.MULTILINE | re.DOTALL)
    lines = "".join(line.strip() + "\n" for line in block.splitlines())
    assert 'folder = "../applications/orders"' in lines
    shutil.copytree(ROOT / "deployments", tmp_path / "deployments")
    shutil.copytree(ROOT / "applications", tmp_path / "applications")
    shutil.copytree(ROOT / "applications" / "count_lines", tmp_path / "applications" / "orders")
    file = tmp_path / "deployments" / "example.toml"
    before, orders, *others = re.split(r"^(?=\[\[subscribers)", file.read_text(), flags=re.MULTILINE)
    file.write_text(before + orders + lines + "\n" + "".join(others))
    subscribers = load_messaging(file).subscribers
    code = {each.name: each.code.path.name for each in subscribers if each.kind != "https" and each.code}
    assert code == {"orders": "orders", "billing": "count_lines"}
