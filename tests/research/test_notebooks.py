"""The notebooks: kept without outputs; executed, where their libraries are, as a fresh JupyterLab space has them."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.accounts import Accounts
from local.emulator import Emulator
from tests.research.sagemaker_stub import sagemaker_stub
from tests.templates import ROOT

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
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    content = json.loads(notebook.read_text())
    assert content["metadata"]["kernelspec"]["name"] == "python3", "the image's kernel"
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert sum("parameters" in cell["metadata"].get("tags", []) for cell in code) == 1


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder as the image's start script leaves it: with a copy of what the Dockerfile puts beside it."""
    shutil.copytree(ROOT / "research", tmp_path / "research", ignore=shutil.ignore_patterns("image", "__pycache__"))
    return tmp_path


def execute(environment: Path, notebook: Path, *changes: str, **variables: str) -> list[dict[str, Any]]:
    """The outputs of all cells."""
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
def test_cells_are_looked_at_without_any_data(environment: Path, home: Path) -> None:
    outputs = execute(environment, home / "research" / "notebooks" / "qc_and_clusters.ipynb")
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    assert len(pictures) == 2, "quality and clusters"
    texts = "".join("".join(each.get("data", {}).get("text/plain", "")) for each in outputs)
    assert "leiden_labels" in texts


@pytest.mark.image
def test_a_job_is_launched_both_ways(environment: Path, home: Path) -> None:
    """S3 and logs are the emulator's, SageMaker is a stub; boto3's request and the library's ask for the same job."""
    (home / "cells.csv").write_text(",A\nc1,1\n")
    with Emulator() as emulator, sagemaker_stub(ACCOUNT) as stub:
        Accounts(emulator).client("s3", account=ACCOUNT, region=REGION).create_bucket(Bucket=BUCKET)
        execute(
            environment,
            home / "research" / "notebooks" / "launch_a_job.ipynb",
            f"DATA = {str(home / 'cells.csv')!r}",
            "START = True",
            **{
                "AWS_ACCESS_KEY_ID": ACCOUNT,
                "AWS_SECRET_ACCESS_KEY": "test",
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
        ours, librarys = stub.wait_for("CreateProcessingJob", 2, seconds=1)
    for request in (ours, librarys):
        for key in ("ProcessingJobName", "ProcessingOutputConfig"):
            request.pop(key)
        _, code = request["ProcessingInputs"]
        assert code["S3Input"].pop("S3Uri").endswith("/qc_metrics.py")
    ours_data, librarys_data = ours["ProcessingInputs"][0]["S3Input"], librarys["ProcessingInputs"][0]["S3Input"]
    assert librarys_data.items() <= {**ours_data, "S3CompressionType": "None"}.items()
    for key in ("RoleArn", "ProcessingResources", "StoppingCondition"):
        assert librarys[key] == ours[key], key
    assert librarys["AppSpecification"] == ours["AppSpecification"]
    assert librarys["NetworkConfig"]["VpcConfig"] == ours["NetworkConfig"]["VpcConfig"]
    assert librarys["NetworkConfig"]["EnableNetworkIsolation"] is True
