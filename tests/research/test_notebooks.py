"""The notebooks: stored without outputs, and executed as in a new JupyterLab space if their packages are installed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.accounts import Accounts
from local.emulator import Emulator
from local.environment import ROOT
from tests.research.sagemaker_stub import sagemaker_stub

NOTEBOOKS = sorted((ROOT / "research" / "notebooks").glob("*.ipynb"))
ACCOUNT, REGION = "555555555555", "us-east-1"
BUCKET = f"coatcheck-research-{ACCOUNT}-{REGION}"
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
path, *changes = sys.argv[1:]
notebook = nbformat.read(path, 4)
(parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
parameters.source += "\\n" + "\\n".join(changes)
where = {"metadata": {"path": path.rpartition("/")[0]}}
NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
nbformat.write(notebook, path)
"""


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(notebook: Path) -> None:
    content = json.loads(notebook.read_text())
    assert content["metadata"]["kernelspec"]["name"] == "python3", "the image's kernel"
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder after the image's start script: with a copy of the files that the Dockerfile copies."""
    shutil.copytree(ROOT / "research", tmp_path / "research", ignore=shutil.ignore_patterns("image", "__pycache__"))
    return tmp_path


def execute(environment: Path, notebook: Path, *changes: str, **variables: str) -> list[dict[str, Any]]:
    """Execute a notebook. Return the outputs of all cells."""
    path = f"{environment / 'bin'}:{os.environ['PATH']}"
    ran = subprocess.run(
        [environment / "bin" / "python", "-c", EXECUTE, notebook, *changes],
        capture_output=True,
        text=True,
        env={"PATH": path, "HOME": str(notebook.parents[2]), **variables},
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    cells = json.loads(notebook.read_text())["cells"]
    return [output for cell in cells for output in cell.get("outputs", [])]


@pytest.mark.image
def test_quality_notebook_runs_on_simulated_cells(environment: Path, home: Path) -> None:
    outputs = execute(environment, home / "research" / "notebooks" / "qc_and_clusters.ipynb")
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2, "quality and clusters"
    texts = "".join("".join(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert "leiden_labels" in texts


@pytest.mark.image
def test_runs_notebook_gathers_samples_and_differences(environment: Path, home: Path) -> None:
    """Two runs of the job on simulated tables, with other thresholds."""
    table = ["," + ",".join(f"{'ACGT' * 4}-{i + 1}" for i in range(30))]
    table += [f"MT-{i}" + ",1" * 30 for i in range(3)]
    table += [f"G{i}" + "".join(f",{i % (7 + cell % 5)}" for cell in range(30)) for i in range(600)]
    for name, limit in (("a", "10"), ("b", "5")):
        base = home / name
        (base / "input").mkdir(parents=True)
        (base / "input" / f"{name}.csv").write_text("\n".join(table) + "\n")
        script = home / "research" / "jobs" / "qc_metrics"
        command = [str(environment / "bin" / "python"), str(script), "--base-dir", str(base), "--percent-mito", limit]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout
    outputs = execute(environment, home / "research" / "notebooks" / "compare_runs.ipynb")
    assert any("image/png" in output.get("data", {}) for output in outputs)
    texts = "".join("".join(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert "a/output" in texts
    assert "percent_mito" in texts.rpartition("dropped")[2], "the only setting that differs"


@pytest.mark.image
def test_launch_notebook_starts_the_same_job_twice(
    environment: Path, home: Path, emulator: Emulator, accounts: Accounts
) -> None:
    """With boto3 and with SageMaker's library. The emulator has S3 and logs; SageMaker is a stub."""
    (home / "cells.csv").write_text(",A\nc1,1\n")
    with sagemaker_stub(ACCOUNT) as stub:
        accounts.client("s3", account=ACCOUNT, region=REGION).create_bucket(Bucket=BUCKET)
        execute(
            environment,
            home / "research" / "notebooks" / "launch_a_job.ipynb",
            f"DATA = {str(home / 'cells.csv')!r}",
            "START = True",
            **{
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": emulator.secret,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ENDPOINT_URL": emulator.endpoint,
                "AWS_ENDPOINT_URL_SAGEMAKER": stub.url,
                "AWS_CA_BUNDLE": str(emulator.ca_bundle),
                "NO_PROXY": "127.0.0.1",
                "RESEARCH_BUCKET": BUCKET,
                "RESEARCH_KEY": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1",
                "RESEARCH_JOB_PREFIX": "coatcheck-",
                "RESEARCH_PROCESSING_ROLE": f"arn:aws:iam::{ACCOUNT}:role/coatcheck-processing",
                "RESEARCH_PROCESSING_IMAGE": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/r/p@sha256:{'0' * 64}",
                "RESEARCH_SUBNETS": "subnet-1,subnet-2",
                "RESEARCH_SECURITY_GROUP": "sg-1",
            },
        )
        own, library = stub.wait_for("CreateProcessingJob", 2, seconds=1)
    for request in (own, library):
        for key in ("ProcessingJobName", "ProcessingOutputConfig"):
            request.pop(key)
        _, code = request["ProcessingInputs"]
        assert code["S3Input"].pop("S3Uri").endswith("/qc_metrics.pyz")
    own_data, library_data = (request["ProcessingInputs"][0]["S3Input"] for request in (own, library))
    assert library_data.items() <= {**own_data, "S3CompressionType": "None"}.items()
    for key in ("RoleArn", "ProcessingResources", "StoppingCondition"):
        assert library[key] == own[key], key
    assert library["AppSpecification"] == own["AppSpecification"]
    assert library["NetworkConfig"]["VpcConfig"] == own["NetworkConfig"]["VpcConfig"]
    assert library["NetworkConfig"]["EnableNetworkIsolation"] is True
