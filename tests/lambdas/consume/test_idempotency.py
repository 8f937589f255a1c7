"""The table of started tasks."""

import time
from typing import Any

import boto3
import pytest

from claim_check import Dereferencer, Message, PayloadConflict
from consume.idempotency import IdempotencyTable
from shared.handoff import HandOff
from tests.lambdas.conftest import STORE

TASK = "arn:aws:ecs:us-east-1:123456789012:task/billing/1"
TABLE = "coatcheck-billing-idempotency"


def create_table() -> None:
    boto3.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def message(sha256: str | None) -> Message:
    claim = f'{{"id":"scan-1","sha256":"{sha256}"}}' if sha256 else '{"id":"scan-1"}'
    attributes = {"ClaimCheck": {"DataType": "String", "StringValue": claim}}
    return Dereferencer(stores=[]).message({"MessageId": "m", "Body": "scan", "MessageAttributes": attributes})


@pytest.fixture
def table(aws: None) -> IdempotencyTable:
    create_table()
    return IdempotencyTable(name=TABLE, seconds=5_184_000, dynamodb=boto3.client("dynamodb"))


def save(table: IdempotencyTable) -> dict[str, Any]:
    """Save a record and return its item."""
    stored = STORE.object_of("scan-1")
    table.save(HandOff(message_id="scan-1", stored=stored, bytes=4, sha256="ab" * 32), TASK)
    return boto3.client("dynamodb").get_item(TableName=TABLE, Key={"id": {"S": "scan-1"}})["Item"]


def test_unknown_message_has_no_task(table: IdempotencyTable) -> None:
    assert table.find_task(message("ab" * 32)) is None


@pytest.mark.parametrize("sha256", ["ab" * 32, None])
def test_known_message_has_its_task(table: IdempotencyTable, sha256: str | None) -> None:
    save(table)
    assert table.find_task(message(sha256)) == TASK


def test_another_payload_under_the_same_id_is_a_conflict(table: IdempotencyTable) -> None:
    save(table)
    with pytest.raises(PayloadConflict, match=rf"another payload, with sha256 {'ab' * 32}, was handed off"):
        table.find_task(message("cd" * 32))


def test_record_expires_as_configured(table: IdempotencyTable) -> None:
    item = save(table)
    assert 5_184_000 - 60 < int(item["expiration"]["N"]) - time.time() <= 5_184_000
