"""The log and the end of a job, against the API models of SageMaker and CloudWatch Logs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from research import follow
from tests.research.job_environment import job

STREAM = "coatcheck-qc-1/algo-1-1"
FIND = {"logGroupName": follow.LOG_GROUP, "logStreamNamePrefix": "coatcheck-qc-1/"}
READ = {"logGroupName": follow.LOG_GROUP, "logStreamName": STREAM, "startFromHead": True}


@dataclass(frozen=True)
class Stubs:
    """Stubs of both services. Each queued response has to be requested."""

    sagemaker: Stubber
    logs: Stubber


@pytest.fixture(scope="module")
def clients() -> tuple[Any, Any]:
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    return session.client("sagemaker", verify=False), session.client("logs", verify=False)


@pytest.fixture
def stubs(clients: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubs]:
    monkeypatch.setattr(follow, "POLL_SECONDS", 0)
    with Stubber(clients[0]) as sagemaker, Stubber(clients[1]) as logs:
        yield Stubs(sagemaker, logs)
        sagemaker.assert_no_pending_responses()
        logs.assert_no_pending_responses()


def test_log_lines_are_reported_once(clients: tuple[Any, Any], stubs: Stubs) -> None:
    for status in ("InProgress", "InProgress", "Completed"):
        stubs.sagemaker.add_response("describe_processing_job", job(status), {"ProcessingJobName": "coatcheck-qc-1"})
    stubs.logs.add_client_error("describe_log_streams", "ResourceNotFoundException", expected_params=FIND)
    streams = {"logStreams": [{"logStreamName": STREAM}]}
    stubs.logs.add_response("describe_log_streams", streams, FIND)
    stubs.logs.add_response("get_log_events", {"events": [{"message": "one\n"}], "nextForwardToken": "f/1"}, READ)
    end = {**READ, "nextToken": "f/1"}
    stubs.logs.add_response("get_log_events", {"events": [], "nextForwardToken": "f/1"}, end)
    stubs.logs.add_response("describe_log_streams", streams, FIND)
    stubs.logs.add_response("get_log_events", {"events": [{"message": "two"}], "nextForwardToken": "f/2"}, end)
    stubs.logs.add_response("get_log_events", {"events": [], "nextForwardToken": "f/2"}, {**READ, "nextToken": "f/2"})
    lines: list[str] = []
    ended = follow.follow_job(*clients, "coatcheck-qc-1", report=lines.append)
    assert ended["ProcessingJobStatus"] == "Completed"
    assert lines == ["coatcheck-qc-1: InProgress", "one", "two"]


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_failed_job_ends_the_log(clients: tuple[Any, Any], stubs: Stubs, status: str) -> None:
    stubs.sagemaker.add_response("describe_processing_job", job(status))
    stubs.logs.add_response("describe_log_streams", {"logStreams": []}, FIND)
    assert follow.follow_job(*clients, "coatcheck-qc-1", report=print)["ProcessingJobStatus"] == status
