"""An SNS client with stubbed responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

if TYPE_CHECKING:
    from mypy_boto3_sns.client import SNSClient


@pytest.fixture
def stubbed() -> Iterator[tuple[SNSClient, Stubber]]:
    client = boto3.client("sns", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test")
    with Stubber(client) as stub:
        yield client, stub
