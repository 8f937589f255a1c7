"""A processing job on this machine: folders, arguments, files and status as in SageMaker."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from local import processing_job
from local.machine import NotWritable
from local.private_folder import PrivateFolder
from local.processing_job import JobResult
from research import launch

PYTHON = Path(sys.executable)
INSPECT = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["PROCESSING_DIR"])
files = sorted(str(f.relative_to(base)) for f in base.rglob("*") if f.is_file())
config = json.loads((base.parent / "config" / "processingjobconfig.json").read_text())
(base / "output" / "seen.json").write_text(json.dumps([files, sys.argv[1:], sorted(os.environ), config]))
(base.parent / "output" / "message").write_text("inspected")
print("inspecting")
"""


def _run(
    tmp_path: Path, script: str, *arguments: str, seconds: int = 60
) -> tuple[JobResult, list[str], dict[str, Any]]:
    """Run a script, and return the result, the printed lines and the request."""
    (tmp_path / "script.py").write_text(script)
    request = launch.request(
        processing_job.LOCAL_ENVIRONMENT,
        name="local-script-1",
        script=tmp_path / "script.py",
        data="s3://b/data/cells.csv",
        arguments=arguments,
    )
    request["StoppingCondition"]["MaxRuntimeInSeconds"] = seconds
    objects = {"s3://b/data/cells.csv": ",A\n", request["ProcessingInputs"][1]["S3Input"]["S3Uri"]: script}

    def fetch(uri: str, folder: Path) -> None:
        (folder / uri.rpartition("/")[2]).write_text(objects[uri])

    lines: list[str] = []
    root = tmp_path / "root"
    root.mkdir()
    return processing_job.run(request, root, python=PYTHON, fetch=fetch, log=lines.append), lines, request


def test_script_sees_the_folders_of_sagemaker(tmp_path: Path) -> None:
    result, lines, request = _run(tmp_path, INSPECT, "--out", "/opt/ml/processing/output")
    assert (result.status, result.exit_code, result.message) == ("Completed", 0, "inspected")
    assert lines[-1] == "inspecting"
    files, arguments, variables, config = json.loads((result.output / "seen.json").read_text())
    assert files == ["input/code/script.py", "input/data/cells.csv"]
    # A path of the container becomes the path on this machine.
    assert arguments == ["--out", str(tmp_path / "root" / "opt" / "ml" / "processing" / "output")]
    assert config == request
    assert {"PROCESSING_DIR", "HOME", "PATH"} <= set(variables)
    assert not [name for name in variables if name.startswith("AWS_")]


def test_job_fails_when_the_script_fails(tmp_path: Path) -> None:
    result, lines, _ = _run(tmp_path, "raise SystemExit('no such gene')")
    assert (result.status, result.exit_code, result.message) == ("Failed", 1, "")
    assert lines[-1] == "no such gene"


def test_job_is_stopped_at_its_time_limit(tmp_path: Path) -> None:
    """With the processes that it started, whose output would not end."""
    begin = time.monotonic()
    result, _, _ = _run(tmp_path, "import subprocess; subprocess.run(['sleep', '60'])", seconds=1)
    assert result.status == "Stopped"
    assert result.exit_code != 0
    assert time.monotonic() - begin < 30


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the user")
def test_root_runs_a_job_as_an_ordinary_user() -> None:
    """With the system's Python, which an ordinary user may run. No other user may enter the folder."""
    system = next((Path(p) for p in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(p).exists()), None)
    if not system:
        pytest.skip("an ordinary user cannot run a Python on this machine")
    with PrivateFolder() as folder:
        user = processing_job._ordinary_user(folder.path, system, print)
        assert user == {"user": 1000, "group": 100, "extra_groups": []}
        status = folder.path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (1000, 100, 0o700)


def _run_script(data: Path, **options: Any) -> int:
    script = data.parent / "script.py"
    script.write_text(
        "import os\nfrom pathlib import Path\nroot = Path(os.environ['PROCESSING_DIR'])\n"
        "files = sorted(file.name for file in (root / 'input' / 'data').rglob('*') if file.is_file())\n"
        "(root / 'output' / 'seen').write_text(' '.join(files))\n"
    )
    return processing_job.run_script(data, script=script, python=Path(sys.executable), **options)


def test_temporary_folder_in_the_data_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, results = tmp_path / "data" / "tmp", tmp_path / "results"
    temporary.mkdir(parents=True)
    (tmp_path / "data" / "cells").write_text("")
    (temporary / "notes").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert _run_script(tmp_path / "data", results=results) == 0
    assert (results / "seen").read_text() == "cells notes"


def test_unwritable_results_are_refused_before_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(processing_job, "run", lambda *_, **__: pytest.fail("the job ran"))
    with pytest.raises(NotWritable, match="Write results to another folder: --results DIR"):
        _run_script(tmp_path / "data", results=tmp_path / "file" / "results")
