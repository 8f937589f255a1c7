"""The function that makes payloads data sets: S3 copies them, a pipeline starts once a message, the bus is told."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from claim_check import MalformedMessage, PayloadCorrupt, PayloadMissing, UntrustedStore
from start_pipeline import pipeline as intake_module
from tests.lambdas.conftest import STAGING_STORE, STORE, SUBSCRIBER

DATA = {"bucket": "research-data", "prefix": "shared/qc/messages/", "owner": SUBSCRIBER, "region": "us-east-1"}
BODY = b",A,B\nc1,0,1\n" * 30_000
ARN = f"arn:aws:sagemaker:us-east-1:{SUBSCRIBER}:pipeline/coatcheck-qc/execution/abcdefghijkl"


@pytest.fixture
def intake(load: Callable[..., ModuleType]) -> ModuleType:
    boto3.client("s3").create_bucket(Bucket=DATA["bucket"])
    boto3.client("events").create_event_bus(Name="coatcheck-datasets")
    return load(
        "start_pipeline",
        TRUSTED_STORES=json.dumps([STORE, STAGING_STORE]),
        DATA_STORE=json.dumps(DATA),
        PIPELINE="coatcheck-qc",
        EVENT_BUS="coatcheck-datasets",
    )


@pytest.fixture
def sagemaker(intake: ModuleType) -> Iterator[Stubber]:
    with Stubber(intake.sagemaker) as stub:
        yield stub
        stub.assert_no_pending_responses()


def processed(message_id: str = "scan-1", *, store: dict[str, str] = STORE, **attributes: str) -> dict[str, Any]:
    """`Payload processed`, and its payload where it points."""
    key = f"{store['prefix']}{message_id}"
    boto3.client("s3").put_object(Bucket=store["bucket"], Key=key, Body=BODY)
    return {
        "source": "coatcheck",
        "detail-type": "Payload processed",
        "detail": {
            "message_id": message_id,
            "pointer": {"bucket": store["bucket"], "key": key, "owner": SUBSCRIBER, "region": "us-east-1"},
            "summary": {
                "bytes": len(BODY),
                "sha256": hashlib.sha256(BODY).hexdigest(),
                "subject": None,
                "attributes": {name.replace("_", "-"): value for name, value in attributes.items()},
            },
        },
    }


@pytest.mark.parametrize("store", [STORE, STAGING_STORE])
def test_a_payload_becomes_a_data_set_and_starts_the_pipeline_with_it(
    intake: ModuleType,
    sagemaker: Stubber,
    context: SimpleNamespace,
    store: dict[str, str],
) -> None:
    told: list[dict[str, Any]] = []
    intake.events.meta.events.register(
        "provide-client-params.events.PutEvents", lambda params, **_: told.extend(params["Entries"])
    )
    event = processed(store=store, outbox_key="sequencing/run 7/cells.csv")
    tokens = []
    for _ in range(2):  # EventBridge and Lambda deliver at least once
        sagemaker.add_response(
            "start_pipeline_execution",
            {"PipelineExecutionArn": ARN},
            {
                "PipelineName": "coatcheck-qc",
                "ClientRequestToken": ANY,
                "PipelineExecutionDisplayName": "message-scan-1",
                "PipelineExecutionDescription": "Message scan-1",
                "PipelineParameters": [
                    {"Name": "Input", "Value": "s3://research-data/shared/qc/messages/scan-1/cells.csv"}
                ],
            },
        )
    intake.sagemaker.meta.events.register(
        "provide-client-params.sagemaker.StartPipelineExecution",
        lambda params, **_: tokens.append(params["ClientRequestToken"]),
    )
    for _ in range(2):
        intake.handler(event, context)
    assert tokens[0] == tokens[1], "the same message, the same execution"
    copy = boto3.client("s3").get_object(Bucket="research-data", Key="shared/qc/messages/scan-1/cells.csv")
    assert copy["Body"].read() == BODY
    assert {each["DetailType"] for each in told} == {"Pipeline started"}
    assert json.loads(told[0]["Detail"]) == {
        "message_id": "scan-1",
        "input": "s3://research-data/shared/qc/messages/scan-1/cells.csv",
        "execution": ARN,
        "pipeline": "coatcheck-qc",
    }


def test_another_message_or_pipeline_is_another_execution(
    intake: ModuleType, sagemaker: Stubber, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[str] = []
    intake.sagemaker.meta.events.register(
        "provide-client-params.sagemaker.StartPipelineExecution",
        lambda params, **_: tokens.append(params["ClientRequestToken"]),
    )
    for message, pipeline in (("a", "coatcheck-qc"), ("b", "coatcheck-qc"), ("a", "coatcheck-sum")):
        monkeypatch.setattr(intake, "settings", dataclasses.replace(intake.settings, pipeline=pipeline))
        sagemaker.add_response("start_pipeline_execution", {"PipelineExecutionArn": ARN})
        intake.handler(processed(message), context)
    assert len(set(tokens)) == 3


@pytest.mark.parametrize(
    ("outbox_key", "name"),
    [
        ("run/cells.h5ad", "cells.h5ad"),
        ("../../etc/passwd", "passwd"),
        ("run/..", "data"),
        ("run/ä b.csv", "b.csv"),
        ("run/.hidden", "hidden"),
        ("run/", "data"),
        ("", "data"),
        ("x" * 500 + ".csv", "x" * 196 + ".csv"),
    ],
)
def test_a_files_name_is_hostile(outbox_key: str, name: str) -> None:
    assert intake_module.file_name(outbox_key) == name


@pytest.mark.parametrize(
    ("message_id", "name"), [("a.b_c", "message-a-b-c"), ("-", "message-"), ("0" * 64, "message-" + "0" * 64)]
)
def test_display_names_are_letters_digits_and_hyphens(message_id: str, name: str) -> None:
    assert intake_module.display_name(message_id) == name.rstrip("-")


def change(event: dict[str, Any], *path: str, to: object) -> dict[str, Any]:
    target = event
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = to
    return event


@pytest.mark.parametrize(
    ("path", "to", "error"),
    [
        (("detail",), {}, MalformedMessage),
        (("detail", "summary"), {"bytes": "1"}, MalformedMessage),
        (("detail", "message_id"), 7, MalformedMessage),
        (("detail", "pointer", "bucket"), "a-stranger", UntrustedStore),
        (("detail", "pointer", "key"), "payloads/none", PayloadMissing),
        (("detail", "summary", "sha256"), "0" * 64, PayloadCorrupt),
    ],
)
def test_what_is_not_right_starts_nothing(
    intake: ModuleType,
    sagemaker: Stubber,  # asked nothing
    context: SimpleNamespace,
    path: tuple[str, ...],
    to: object,
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        intake.handler(change(processed(), *path, to=to), context)


def test_a_bus_that_does_not_take_the_word_is_an_error(
    intake: ModuleType, sagemaker: Stubber, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sagemaker.add_response("start_pipeline_execution", {"PipelineExecutionArn": ARN})
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "no such bus"}]}
    monkeypatch.setattr(intake.events, "put_events", lambda **_: refused)
    with pytest.raises(intake.EventNotAccepted, match="no such bus"):
        intake.handler(processed(), context)
