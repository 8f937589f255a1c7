"""What SNS could not deliver is taken from the redrive queue, by the same checks, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from applications.https_endpoint import Received, take_undelivered
from claim_check import Dereferencer
from claim_check.https import Endpoint
from tests.claim_check.conftest import TOPIC
from tests.claim_check.notifications import CERTIFICATE_URL, NOW, Signer, Web


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1")


def notification(number: int, **more: str) -> dict[str, str]:
    return {
        "Type": "Notification",
        "MessageId": f"22222222-3333-4444-5555-{number:012d}",
        "TopicArn": TOPIC,
        "Message": f"message {number}",
        "Timestamp": (NOW - timedelta(days=13)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        **more,
    }


def test_what_is_genuine_is_kept_and_the_rest_stays(sqs: Any, tmp_path: Path) -> None:
    signer = Signer()
    web = Web({CERTIFICATE_URL: signer.pem})
    endpoint = Endpoint(
        topics=[TOPIC],
        dereferencer=Dereferencer(stores=[]),
        window=timedelta(days=15),
        fetch=web.fetch,
        now=lambda: NOW,
    )
    queue = sqs.create_queue(QueueName="redrive")["QueueUrl"]
    genuine = [signer.signed(notification(number)) for number in (1, 2)]
    forged = genuine[0] | {"Message": "forged"}
    for posted in (genuine[0], forged, genuine[1], genuine[0]):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(posted))

    assert take_undelivered(queue, endpoint=endpoint, received=Received(tmp_path), sqs=sqs) == 3
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if not path.suffix}
    assert sorted(kept.values()) == ["message 1", "message 2"]
    depth = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert depth["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert depth["ApproximateNumberOfMessages"] == "0"
