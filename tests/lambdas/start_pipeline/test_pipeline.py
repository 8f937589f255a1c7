"""A processed payload as the input of a pipeline, with SageMaker as a stub."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from claim_check import Dereferencer, PayloadCorrupt, PayloadMissing, S3Object, Store, UntrustedStore, s3_client
from shared.handoff import HandOff
from start_pipeline.pipeline import PipelineExecution, display_name, event_of, file_name, start_pipeline
from tests.lambdas.conftest import ACCOUNT, STAGING, STORE

DATA = Store("research-data", "shared/qc/messages/", ACCOUNT, "us-east-1")
BODY = b",A,B\nc1,0,1\n" * 30_000
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/coatcheck-qc/execution/abcdefghijkl"


def handoff_from(store: Store = STORE, message_id: str = "scan-1", **attributes: str) -> HandOff:
    """Store a payload, and return its hand-off."""
    stored = store.object_of(message_id)
    boto3.client("s3").put_object(Bucket=stored.bucket, Key=stored.key, Body=BODY)
    return HandOff(
        message_id=message_id,
        stored=stored,
        bytes=len(BODY),
        sha256=hashlib.sha256(BODY).hexdigest(),
        attributes={name.replace("_", "-"): value for name, value in attributes.items()},
    )


class SageMaker:
    """A client that sends nothing and records its requests."""

    def __init__(self, client: Any, stub: Stubber) -> None:
        self.client = client
        self.requests: list[dict[str, Any]] = []
        client.meta.events.register(
            "provide-client-params.sagemaker.StartPipelineExecution",
            lambda params, **_: self.requests.append(dict(params)),
        )
        for _ in range(3):
            stub.add_response("start_pipeline_execution", {"PipelineExecutionArn": ARN})


Start = Callable[..., PipelineExecution]


@pytest.fixture
def sagemaker(stubbed: Any) -> SageMaker:
    return SageMaker(*stubbed("sagemaker"))


@pytest.fixture
def start(aws: None, sagemaker: SageMaker) -> Start:
    boto3.client("s3").create_bucket(Bucket=DATA.bucket)
    dereferencer, s3 = Dereferencer(stores=[STORE, STAGING]), s3_client("us-east-1")

    def start(handoff: HandOff, pipeline: str = "coatcheck-qc") -> PipelineExecution:
        return start_pipeline(
            handoff, dereferencer=dereferencer, data=DATA, pipeline=pipeline, s3=s3, sagemaker=sagemaker.client
        )

    return start


@pytest.mark.parametrize("store", [STORE, STAGING], ids=["offloaded", "staged"])
def test_pipeline_is_started_with_a_copy(start: Start, sagemaker: SageMaker, store: Store) -> None:
    handoff = handoff_from(store, outbox_key="sequencing/run 7/cells.csv")
    executions = [start(handoff) for _ in range(2)]  # EventBridge and Lambda deliver at least once
    uri = "s3://research-data/shared/qc/messages/scan-1/cells.csv"
    expected = PipelineExecution(message_id="scan-1", input=uri, execution=ARN, pipeline="coatcheck-qc")
    assert executions == [expected] * 2
    copy = boto3.client("s3").get_object(Bucket="research-data", Key="shared/qc/messages/scan-1/cells.csv")
    assert copy["Body"].read() == BODY
    first, second = sagemaker.requests
    assert first == second
    assert len(first.pop("ClientRequestToken")) == 64
    assert first == {
        "PipelineName": "coatcheck-qc",
        "PipelineExecutionDisplayName": "message-scan-1",
        "PipelineExecutionDescription": "Message scan-1",
        "PipelineParameters": [{"Name": "Input", "Value": uri}],
    }


def test_token_differs_by_message_and_pipeline(start: Start, sagemaker: SageMaker) -> None:
    for message_id, pipeline in (("a", "coatcheck-qc"), ("b", "coatcheck-qc"), ("a", "coatcheck-sum")):
        start(handoff_from(message_id=message_id), pipeline)
    assert len({request["ClientRequestToken"] for request in sagemaker.requests}) == 3


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"stored": S3Object("other-bucket", "payloads/scan-1", ACCOUNT, "us-east-1")}, UntrustedStore),
        ({"stored": STORE.object_of("none")}, PayloadMissing),
        ({"sha256": "0" * 64}, PayloadCorrupt),
    ],
)
def test_unusable_payload_starts_no_pipeline(
    start: Start, sagemaker: SageMaker, change: dict[str, Any], error: type[Exception]
) -> None:
    handoff = handoff_from()
    with pytest.raises(error):
        start(HandOff(**{**vars(handoff), **change}))
    assert sagemaker.requests == []


@pytest.mark.parametrize(
    ("outbox_key", "name"),
    [
        ("run/cells.h5ad", "cells.h5ad"),
        ("../../etc/passwd", "passwd"),
        ("run/..", "data"),
        ("run/ä b.csv", "ä-b.csv"),
        ("run/表達行列.csv.gz", "表達行列.csv.gz"),
        ("run/матрица.h5ad", "матрица.h5ad"),
        ("run/.hidden", "hidden"),
        ("run/", "data"),
        ("", "data"),
        ("x" * 500 + ".csv", "x" * 196 + ".csv"),
    ],
)
def test_file_name_is_sanitised(outbox_key: str, name: str) -> None:
    assert file_name(outbox_key) == name


@pytest.mark.parametrize(
    ("message_id", "name"), [("a.b_c", "message-a-b-c"), ("-", "message"), ("0" * 64, "message-" + "0" * 64)]
)
def test_display_name_has_letters_digits_and_hyphens(message_id: str, name: str) -> None:
    assert display_name(message_id) == name


def test_event_describes_the_execution() -> None:
    execution = PipelineExecution(message_id="scan-1", input="s3://b/k", execution=ARN, pipeline="coatcheck-qc")
    event = event_of(execution, source="coatcheck", bus="coatcheck-datasets")
    assert json.loads(event.pop("Detail")) == {
        "message_id": "scan-1",
        "input": "s3://b/k",
        "execution": ARN,
        "pipeline": "coatcheck-qc",
    }
    assert event == {"EventBusName": "coatcheck-datasets", "Source": "coatcheck", "DetailType": "Pipeline started"}
