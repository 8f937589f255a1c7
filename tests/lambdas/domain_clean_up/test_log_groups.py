"""The retention of SageMaker's log groups."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from domain_clean_up.log_groups import set_retention

STUDIO, JOBS = "/aws/sagemaker/studio", "/aws/sagemaker/ProcessingJobs"


@pytest.fixture
def logs() -> Iterator[Any]:
    with mock_aws():
        yield boto3.Session("testing", "testing", region_name="us-east-1").client("logs")


def retention(logs: Any) -> dict[str, int | None]:
    return {group["logGroupName"]: group.get("retentionInDays") for group in logs.describe_log_groups()["logGroups"]}


def test_groups_get_a_retention_once(logs: Any) -> None:
    logs.create_log_group(logGroupName=JOBS)
    logs.create_log_group(logGroupName=f"{STUDIO}-of-others")
    assert set_retention(logs, [STUDIO, JOBS], days=90) == [STUDIO, JOBS]
    assert retention(logs) == {STUDIO: 90, JOBS: 90, f"{STUDIO}-of-others": None}
    # Another environment's retention remains.
    assert set_retention(logs, [STUDIO, JOBS], days=30) == []
    assert retention(logs)[STUDIO] == 90
