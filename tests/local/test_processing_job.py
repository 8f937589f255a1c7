"""local/processing_job.py: a job's folders, arguments, files and end are SageMaker's."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local import processing_job as job
from research import launch

PYTHON = Path(sys.executable)
LOOK = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["PROCESSING_DIR"])
found = sorted(str(f.relative_to(base)) for f in base.rglob("*") if f.is_file())
config = json.loads((base.parent / "config" / "processingjobconfig.json").read_text())
(base / "output" / "seen.json").write_text(json.dumps([found, sys.argv[1:], sorted(os.environ), os.getuid(), config]))
(base.parent / "output" / "message").write_text("looked")
print("looking")
"""


def run(tmp_path: Path, script: str, *arguments: str, seconds: int = 60) -> tuple[job.Ended, list[str], dict[str, Any]]:
    (tmp_path / "look.py").write_text(script)
    request = launch.request(
        job.PLACE, name="local-look-1", script=tmp_path / "look.py", data="s3://b/data/cells.csv", arguments=arguments
    )
    request["StoppingCondition"]["MaxRuntimeInSeconds"] = seconds
    content = {"s3://b/data/cells.csv": ("cells.csv", ",A\n"), f"{_base(request)}/look.py": ("look.py", script)}

    def fetch(uri: str, folder: Path) -> None:
        name, text = content[uri]
        (folder / name).write_text(text)

    said: list[str] = []
    root = tmp_path / "root"
    root.mkdir()
    return job.run(request, root, python=PYTHON, fetch=fetch, say=said.append), said, request


def _base(request: dict[str, Any]) -> str:
    return str(request["ProcessingInputs"][1]["S3Input"]["S3Uri"]).rpartition("/")[0]


def test_a_script_finds_what_sagemaker_would_put_there(tmp_path: Path) -> None:
    ended, said, request = run(tmp_path, LOOK, "--out", "/opt/ml/processing/output")
    assert (ended.status, ended.exit_code, ended.message) == ("Completed", 0, "looked")
    assert said[-1] == "looking"
    found, arguments, variables, _, config = json.loads((ended.output / "seen.json").read_text())
    assert found == ["input/code/look.py", "input/data/cells.csv"]
    # A path of the container is where it is here.
    assert arguments == ["--out", str(tmp_path / "root" / "opt" / "ml" / "processing" / "output")]
    assert config == request
    assert {"PROCESSING_DIR", "HOME", "PATH"} <= set(variables)
    assert not [name for name in variables if name.startswith("AWS_")], "a job has nobody's credentials"


def test_a_script_that_fails_fails_the_job(tmp_path: Path) -> None:
    ended, said, _ = run(tmp_path, "raise SystemExit('no such gene')")
    assert (ended.status, ended.exit_code, ended.message) == ("Failed", 1, "")
    assert said[-1] == "no such gene"


def test_a_script_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    ended, _, _ = run(tmp_path, "import time; time.sleep(60)", seconds=1)
    assert ended.status == "Stopped"
    assert ended.exit_code != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="this is no root, and runs as itself")
def test_root_runs_it_as_an_ordinary_user() -> None:
    """Where another user may enter the folders at all: the system's Python, in the system's temporary folder."""
    system = next((Path(p) for p in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(p).exists()), None)
    if not system:
        pytest.skip("no Python here that another user may run")
    root = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    root.chmod(0o755)
    try:
        user = job._ordinary_user(root, system, print)
        assert user == {"user": 1000, "group": 100, "extra_groups": []}
        assert (root.stat().st_uid, root.stat().st_gid) == (1000, 100)
    finally:
        shutil.rmtree(root)
