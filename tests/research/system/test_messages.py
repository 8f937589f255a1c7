"""A data set published as a large message: it is copied, starts the pipeline, and the pipeline's job runs.

The real CDK CLI deploys publisher and subscriber into emulated accounts. The emulator has no SageMaker. Therefore the
test creates the data bucket, a stub accepts the request that starts the pipeline, and `local.processing_job` runs the
job if the packages of the image are installed.
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

from local import processing_job
from local.accounts import Accounts
from local.cdk import Cdk
from local.emulator import Emulator
from research.transfer import split
from stacks.deployment import parse_messaging
from tests.research.pipeline_execution import processing_jobs
from tests.research.sagemaker_stub import SageMakerStub, sagemaker_stub
from tests.stacks.research.test_pipeline import definition
from tests.templates import ROOT, assembly

pytestmark = pytest.mark.system
PUBLISHER, RESEARCH, REGION = "111111111111", "555555555555", "us-east-1"
DATA = f"coatcheck-research-{RESEARCH}-{REGION}"
FUNCTION = "coatcheck-datasets-pipeline-trigger"
EXAMPLE = (ROOT / "deployments" / "research-messages.toml").read_text()
THRESHOLDS = '\nparameters = { transpose = "yes", mito_prefix = "MT-", percent_mito = 10.0, min_genes = 500 }\n'


@dataclass(frozen=True)
class Laboratory:
    """The deployed stacks and the stub of SageMaker."""

    accounts: Accounts
    sagemaker: SageMakerStub
    assembly: Path

    def client(self, service: str, account: str = RESEARCH) -> Any:
        return self.accounts.client(service, account=account, region=REGION)

    def upload(self, name: str, content: bytes) -> None:
        bucket = f"coatcheck-payloads-{PUBLISHER}-{REGION}"
        self.client("s3", PUBLISHER).put_object(Bucket=bucket, Key=f"outbox/{name}", Body=content)


@pytest.fixture(scope="module")
def laboratory(
    emulator: Emulator, accounts: Accounts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    deployment = parse_messaging(tomllib.loads(EXAMPLE.replace("schedule =", f"{THRESHOLDS}schedule =")))
    folder = assembly(deployment, tmp_path_factory.mktemp("laboratory"))
    with sagemaker_stub(RESEARCH) as stub:
        cdk = Cdk(emulator, lambda _, line: None)
        for account, stack in ((PUBLISHER, "coatcheck-publisher"), (RESEARCH, "coatcheck-datasets")):
            cdk.bootstrap(account, [REGION])
            cdk.deploy(account, REGION, [stack], folder)
        deployed = Laboratory(accounts, stub, folder)
        deployed.client("s3").create_bucket(Bucket=DATA)
        function = deployed.client("lambda").get_function_configuration(FunctionName=FUNCTION)
        variables = {**function["Environment"]["Variables"], "AWS_ENDPOINT_URL_SAGEMAKER": stub.url}
        deployed.client("lambda").update_function_configuration(
            FunctionName=FUNCTION, Environment={"Variables": variables}
        )
        yield deployed


def test_large_message_starts_the_pipeline_once(laboratory: Laboratory) -> None:
    content = b",A,B\n" + b"cell,0,1\n" * 40_000  # larger than the threshold: the message has a pointer
    laboratory.upload("run-7/small.csv", content)
    (started,) = laboratory.sagemaker.wait_for("StartPipelineExecution", 1, seconds=60)
    assert started["PipelineName"] == "coatcheck--qc"
    (parameter,) = started["PipelineParameters"]
    assert parameter["Name"] == "Input"
    bucket, key = split(parameter["Value"])
    message_id = started["PipelineExecutionDescription"].removeprefix("Message ")
    assert (bucket, key) == (DATA, f"shared/qc/messages/{message_id}/small.csv")
    assert laboratory.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == content

    # EventBridge may deliver an event twice. The second event starts the same execution.
    execution = laboratory.client("stepfunctions").describe_execution(
        executionArn=f"arn:aws:states:{REGION}:{RESEARCH}:execution:coatcheck-datasets:{message_id}"
    )
    event = {"source": "coatcheck", "detail-type": "Payload processed", "detail": json.loads(execution["input"])}
    response = laboratory.client("lambda").invoke(FunctionName=FUNCTION, Payload=json.dumps(event).encode())
    assert "FunctionError" not in response, response["Payload"].read()
    first, second = laboratory.sagemaker.wait_for("StartPipelineExecution", 2, seconds=30)
    assert first == second
    assert len(laboratory.sagemaker.executions) == 1


@pytest.mark.image
def test_job_of_the_execution_runs(laboratory: Laboratory, environment: Path, real_data: Path, tmp_path: Path) -> None:
    """53 MB through outbox, topic and queue, then the request that SageMaker makes from the pipeline definition."""
    content = (real_data / "cells.csv").read_bytes()
    before = len(laboratory.sagemaker.wait_for("StartPipelineExecution", 0, seconds=0))
    laboratory.upload("run-8/cells.csv", content)
    started = laboratory.sagemaker.wait_for("StartPipelineExecution", before + 1, seconds=120)[-1]
    template = json.loads((laboratory.assembly / "coatcheck-research.template.json").read_text())
    parameters = {parameter["Name"]: parameter["Value"] for parameter in started["PipelineParameters"]}
    (request,) = processing_jobs(definition(template), parameters, execution="000000000001")

    def fetch(uri: str, folder: Path) -> None:
        bucket, key = split(uri)
        if bucket == DATA:
            laboratory.client("s3").download_file(bucket, key, str(folder / key.rpartition("/")[2]))
        else:  # an asset of the deployment, named after its content's digest
            shutil.copy(laboratory.assembly / f"asset.{key}", folder / key)

    (tmp_path / "root").mkdir()
    ended = processing_job.run(
        request, tmp_path / "root", python=environment / "bin" / "python", fetch=fetch, log=print
    )
    assert (ended.status, ended.message) == ("Completed", "404 of 559 cells kept")
    (row,) = csv.DictReader((ended.output / "qc_metrics.csv").read_text().splitlines())
    assert (row["Channel"], row["kept"], row["total"]) == ("cells", "404", "559")
    manifest = json.loads((ended.output / "manifest.json").read_text())
    assert manifest["inputs"][0]["files"] == {"data/cells.csv": hashlib.sha256(content).hexdigest()}
