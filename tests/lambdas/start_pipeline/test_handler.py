"""The pipeline trigger."""

from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest

from start_pipeline.settings import Settings
from tests.lambdas.conftest import STAGING, STORE, Listen, Load
from tests.lambdas.start_pipeline.test_pipeline import DATA, SageMaker, handoff_from


@pytest.fixture
def sagemaker(stubbed: Any) -> SageMaker:
    return SageMaker(*stubbed("sagemaker"))


@pytest.fixture
def trigger(load: Load, sagemaker: SageMaker, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    boto3.client("s3").create_bucket(Bucket=DATA.bucket)
    boto3.client("events").create_event_bus(Name="coatcheck-datasets")
    settings = Settings(
        trusted_stores=(STORE, STAGING), data_store=DATA, pipeline="coatcheck-qc", event_bus="coatcheck-datasets"
    )
    trigger = load(settings)
    monkeypatch.setattr(trigger, "sagemaker", sagemaker.client)
    return trigger


def processed(detail: dict[str, Any]) -> dict[str, Any]:
    return {"source": "coatcheck", "detail-type": "Payload processed", "detail": detail}


def test_pipeline_is_started_and_published(
    trigger: ModuleType, sagemaker: SageMaker, context: SimpleNamespace, listen: Listen
) -> None:
    entries: list[dict[str, Any]] = []
    trigger.events.meta.events.register(
        "provide-client-params.events.PutEvents", lambda params, **_: entries.extend(params["Entries"])
    )
    telemetry = listen(trigger)
    trigger.handler(processed(handoff_from().to_input()), context)
    assert [request["PipelineName"] for request in sagemaker.requests] == ["coatcheck-qc"]
    assert [(entry["EventBusName"], entry["DetailType"]) for entry in entries] == [
        ("coatcheck-datasets", "Pipeline started")
    ]
    (line,) = telemetry.lines()
    assert (line["message"], line["message_id"]) == ("pipeline started", "scan-1")


def test_rejected_event_is_an_error(
    trigger: ModuleType, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = {"FailedEntryCount": 1, "Entries": [{"ErrorMessage": "no such bus"}]}
    monkeypatch.setattr(trigger.events, "put_events", lambda **_: response)
    with pytest.raises(trigger.EventNotAccepted, match="no such bus"):
        trigger.handler(processed(handoff_from().to_input()), context)
