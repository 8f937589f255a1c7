"""A data set published as a large message: it arrives, becomes a data set, starts the pipeline; the job really runs.

Publisher and subscriber are deployed into emulated accounts by the real CDK CLI. The emulator has no SageMaker: the
data bucket is made by the test, a stub takes the request that would start the pipeline, and, where the packages of the
image are installed, the job of that request is done here.
"""

import csv
import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import processing_job as job
from local.accounts import Accounts
from local.cdk import Cdk
from local.emulator import Emulator
from research import launch
from stacks.deployment import parse_messaging
from tests.research import pipeline_execution as pipeline
from tests.research.sagemaker_stub import SageMakerStub, sagemaker_stub
from tests.research.test_pipelines import definition
from tests.templates import ROOT, assembly

pytestmark = pytest.mark.system
PUBLISHER, RESEARCH, REGION = "111111111111", "555555555555", "us-east-1"
DATA = f"coatcheck-research-{RESEARCH}-{REGION}"
EXAMPLE = (ROOT / "deployments" / "research-messages.toml").read_text()
THRESHOLDS = '\nparameters = { transpose = "yes", mito_prefix = "MT-", percent_mito = 10.0, min_genes = 500 }\n'


@dataclass(frozen=True)
class Laboratory:
    """What is deployed, and what answers for SageMaker."""

    accounts: Accounts
    sagemaker: SageMakerStub
    assembly: Path

    def client(self, service: str, account: str = RESEARCH) -> Any:
        return self.accounts.client(service, account=account, region=REGION)

    def upload(self, name: str, content: bytes) -> None:
        outbox = f"coatcheck-payloads-{PUBLISHER}-{REGION}"
        self.client("s3", PUBLISHER).put_object(Bucket=outbox, Key=f"outbox/{name}", Body=content)

    def data_set(self, started: dict[str, Any]) -> bytes:
        """What is at the execution's input."""
        (given,) = started["PipelineParameters"]
        assert given["Name"] == "Input"
        bucket, key = launch.split(given["Value"])
        found = self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        assert isinstance(found, bytes)
        return found


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    deployment = parse_messaging(tomllib.loads(EXAMPLE.replace("schedule =", f"{THRESHOLDS}schedule =")))
    folder = assembly(deployment, tmp_path_factory.mktemp("laboratory"))
    lines: list[str] = []
    with Emulator() as emulator, sagemaker_stub(RESEARCH) as stub:
        cdk = Cdk(emulator, lambda _, line: lines.append(line))
        for account, stack in ((PUBLISHER, "coatcheck-publisher"), (RESEARCH, "coatcheck-datasets")):
            cdk.bootstrap(account, [REGION])
            cdk.deploy(account, REGION, [stack], folder)
        made = Laboratory(Accounts(emulator), stub, folder)
        made.client("s3").create_bucket(Bucket=DATA)
        function = made.client("lambda").get_function_configuration(FunctionName="coatcheck-datasets-pipeline-trigger")
        made.client("lambda").update_function_configuration(
            FunctionName="coatcheck-datasets-pipeline-trigger",
            Environment={"Variables": {**function["Environment"]["Variables"], "AWS_ENDPOINT_URL_SAGEMAKER": stub.url}},
        )
        yield made


def test_a_large_message_becomes_a_data_set_and_starts_the_pipeline_once(laboratory: Laboratory) -> None:
    content = b",A,B\n" + b"cell,0,1\n" * 40_000  # over the threshold: by a pointer
    laboratory.upload("run-7/small.csv", content)
    (started,) = laboratory.sagemaker.wait_for("StartPipelineExecution", 1, seconds=60)
    assert started["PipelineName"] == "coatcheck-qc"
    assert started["PipelineParameters"][0]["Value"].startswith(f"s3://{DATA}/shared/qc/messages/")
    assert started["PipelineParameters"][0]["Value"].endswith("/small.csv")
    assert laboratory.data_set(started) == content

    # The same event again, as EventBridge may deliver it: the same execution.
    message_id = started["PipelineExecutionDescription"].removeprefix("Message ")
    execution = laboratory.client("stepfunctions").describe_execution(
        executionArn=f"arn:aws:states:{REGION}:{RESEARCH}:execution:coatcheck-datasets:{message_id}"
    )
    again = {"source": "coatcheck", "detail-type": "Payload processed", "detail": json.loads(execution["input"])}
    answer = laboratory.client("lambda").invoke(
        FunctionName="coatcheck-datasets-pipeline-trigger", Payload=json.dumps(again).encode()
    )
    assert "FunctionError" not in answer, answer["Payload"].read()
    both = laboratory.sagemaker.wait_for("StartPipelineExecution", 2, seconds=30)
    assert both[0] == both[1]
    assert len(laboratory.sagemaker.executions) == 1


@pytest.mark.image
def test_the_job_of_that_execution_really_runs(
    laboratory: Laboratory, environment: Path, real_data: Path, tmp_path: Path
) -> None:
    """53 MB through outbox, topic and queue; then what SageMaker would make of the pipeline's definition."""
    content = (real_data / "cells.csv").read_bytes()
    before = len(laboratory.sagemaker.wait_for("StartPipelineExecution", 0, seconds=0))
    laboratory.upload("run-8/cells.csv", content)
    started = laboratory.sagemaker.wait_for("StartPipelineExecution", before + 1, seconds=120)[-1]
    template = json.loads((laboratory.assembly / "coatcheck-research.template.json").read_text())
    parameters = {each["Name"]: each["Value"] for each in started["PipelineParameters"]}
    (request,) = pipeline.processing_jobs(definition(template), parameters, execution="000000000001")

    def fetch(uri: str, folder: Path) -> None:
        bucket, key = launch.split(uri)
        if bucket == DATA:
            laboratory.client("s3").download_file(bucket, key, str(folder / key.rpartition("/")[2]))
        else:  # an asset of the deployment: its name is its content's digest
            shutil.copy(launch.SCRIPT, folder / key)

    (tmp_path / "root").mkdir()
    ended = job.run(request, tmp_path / "root", python=environment / "bin" / "python", fetch=fetch, say=print)
    assert (ended.status, ended.message) == ("Completed", "404 of 559 cells kept")
    (row,) = csv.DictReader((ended.output / "qc_metrics.csv").read_text().splitlines())
    assert (row["Channel"], row["kept"], row["total"]) == ("cells", "404", "559")
    manifest = json.loads((ended.output / "manifest.json").read_text())
    assert manifest["input"]["sha256"] == hashlib.sha256(content).hexdigest()
