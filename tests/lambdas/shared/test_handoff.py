"""The hand-off as an execution's input and as a task's environment."""

import json
from typing import Any

import pytest

from claim_check import Dereferencer, MalformedMessage, S3Object, Store, UntrustedStore
from shared.handoff import HandOff

STORE = Store("payloads-bucket", "payloads/", "111111111111", "us-east-1")
HANDOFF = HandOff(
    message_id="order-1",
    stored=S3Object("payloads-bucket", "payloads/order-1", "111111111111", "us-east-1"),
    bytes=42,
    sha256="ab" * 32,
    crc32="AAAAAA==",
    proved_by="sha256",
    subject="New order",
    attributes={"colour": "red"},
    result={"rows": 3},
)
INPUT: dict[str, Any] = {
    "message_id": "order-1",
    "pointer": {"bucket": "payloads-bucket", "key": "payloads/order-1", "owner": "111111111111", "region": "us-east-1"},
    "summary": {
        "bytes": 42,
        "sha256": "ab" * 32,
        "crc64nvme": None,
        "crc32": "AAAAAA==",
        "proved_by": "sha256",
        "subject": "New order",
        "attributes": {"colour": "red"},
    },
    "result": {"rows": 3},
}


def described_task(environment: dict[str, str], arn: str = "arn:task") -> dict[str, Any]:
    """Return a task with a sidecar, in the form of `ecs:DescribeTasks`."""
    variables = [{"name": name, "value": value} for name, value in environment.items()]
    overrides = [{"name": "sidecar"}, {"name": "application", "environment": variables}]
    return {"taskArn": arn, "overrides": {"containerOverrides": overrides}}


def test_input_has_its_documented_form() -> None:
    assert HANDOFF.to_input() == INPUT


def test_input_survives_a_round_trip() -> None:
    content = json.loads(json.dumps(HANDOFF.to_input()))
    assert HandOff.from_input({**content, "landed": {"bucket": "added by a state"}}) == HANDOFF


@pytest.mark.parametrize(
    "change",
    [
        {"message_id": 7},
        {"pointer": None},
        {"pointer": INPUT["pointer"] | {"bucket": 7}},
        {"pointer": {"bucket": "payloads-bucket", "key": "payloads/order-1"}},
        {"summary": {}},
        {"summary": INPUT["summary"] | {"bytes": "42"}},
        {"summary": INPUT["summary"] | {"sha256": 7}},
        {"summary": INPUT["summary"] | {"attributes": None}},
    ],
    ids=str,
)
def test_invalid_input_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage, match="the input must have message_id, pointer and summary"):
        HandOff.from_input(INPUT | change)


def test_environment_has_its_documented_variables() -> None:
    assert HANDOFF.to_environment() == {
        "MESSAGE_ID": "order-1",
        "PAYLOAD_BUCKET": "payloads-bucket",
        "PAYLOAD_KEY": "payloads/order-1",
        "PAYLOAD_OWNER": "111111111111",
        "PAYLOAD_REGION": "us-east-1",
        "PAYLOAD_BYTES": "42",
        "PAYLOAD_SHA256": "ab" * 32,
        "PAYLOAD_CRC32": "AAAAAA==",
        "RESULT": '{"rows": 3}',
    }


def test_task_survives_a_round_trip_without_its_attributes() -> None:
    read = HandOff.from_task(described_task(HANDOFF.to_environment()))
    assert read == HandOff(
        message_id="order-1", stored=HANDOFF.stored, bytes=42, sha256="ab" * 32, crc32="AAAAAA==", result={"rows": 3}
    )


def test_missing_variable_of_a_task_is_named() -> None:
    environment = HANDOFF.to_environment()
    del environment["PAYLOAD_KEY"]
    with pytest.raises(KeyError, match="PAYLOAD_KEY"):
        HandOff.from_task(described_task(environment))


def test_payload_is_read_from_a_trusted_store() -> None:
    assert HANDOFF.payload(Dereferencer(stores=[STORE])).size == 42


def test_payload_outside_the_trusted_stores_is_rejected() -> None:
    other = Store("other-bucket", "payloads/", "111111111111", "us-east-1")
    with pytest.raises(UntrustedStore):
        HANDOFF.payload(Dereferencer(stores=[other]))


@pytest.mark.parametrize(
    "change",
    [
        {"message_id": "../order-1"},
        {"summary": INPUT["summary"] | {"bytes": -1}},
        {"summary": INPUT["summary"] | {"sha256": "f00"}},
        {"summary": INPUT["summary"] | {"crc64nvme": "AAAAAA=="}},
        {"summary": INPUT["summary"] | {"crc32": "f00"}},
    ],
    ids=str,
)
def test_payload_with_an_invalid_claim_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        HandOff.from_input(INPUT | change).payload(Dereferencer(stores=[STORE]))
