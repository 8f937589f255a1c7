"""Start of an execution, with Step Functions as a stub."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from claim_check import PayloadConflict, S3Object
from consume.state_machine import INPUT_BYTES, RESERVED_BYTES, execution_name, start_execution
from shared.handoff import HandOff, InputTooLarge

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:orders"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:orders:order-1"
HANDOFF = HandOff(
    message_id="order-1",
    stored=S3Object("payloads-bucket", "payloads/order-1", "111111111111", "us-east-1"),
    bytes=42,
    sha256="ab" * 32,
    attributes={"colour": "grün"},
)


@pytest.fixture
def states(stubbed: Any) -> Iterator[tuple[Any, Stubber]]:
    client, stub = stubbed("stepfunctions")
    yield client, stub
    stub.assert_no_pending_responses()


States = tuple[Any, Stubber]


def start(states: States, handoff: HandOff = HANDOFF) -> str:
    return start_execution(handoff, state_machine_arn=MACHINE, states=states[0])


def already_exists(states: States, earlier: HandOff) -> None:
    states[1].add_client_error("start_execution", "ExecutionAlreadyExists")
    description = {
        "executionArn": EXECUTION,
        "stateMachineArn": MACHINE,
        "status": "FAILED",
        "startDate": 0,
        "input": json.dumps(earlier.to_input()),
    }
    states[1].add_response("describe_execution", description, {"executionArn": EXECUTION})


def test_execution_has_the_message_id_as_name(states: States) -> None:
    content = json.dumps(HANDOFF.to_input(), ensure_ascii=False)
    assert "grün" in content
    request = {"stateMachineArn": MACHINE, "name": "order-1", "input": content}
    states[1].add_response("start_execution", {"executionArn": EXECUTION, "startDate": 0}, request)
    assert start(states) == EXECUTION


def test_repeated_message_starts_no_second_execution(states: States) -> None:
    already_exists(states, replace(HANDOFF, attributes={}))
    assert start(states) == EXECUTION


def test_another_payload_under_the_same_id_is_a_conflict(states: States) -> None:
    already_exists(states, replace(HANDOFF, sha256="cd" * 32))
    with pytest.raises(PayloadConflict, match=rf"sha256 {'cd' * 32}, was handed off .* \(message 'order-1'\)"):
        start(states)


def test_input_over_the_maximum_is_rejected(states: States) -> None:
    size = len(json.dumps(HANDOFF.to_input(), ensure_ascii=False).encode())
    fits = replace(HANDOFF, attributes={"colour": "grün" + "x" * (INPUT_BYTES - size)})
    states[1].add_response("start_execution", {"executionArn": EXECUTION, "startDate": 0})
    start(states, fits)
    text = r"make an execution's input of 253953 bytes, more than 253952: .* \(message 'order-1'\)"
    with pytest.raises(InputTooLarge, match=text) as error:
        start(states, replace(fits, attributes={"colour": fits.attributes["colour"] + "x"}))
    assert error.value.permanent


def test_reserved_space_suffices_for_the_built_in_states() -> None:
    """The states add `landed` and the event's entry. All names have the largest size that AWS allows."""
    machine = f"arn:aws:states:us-gov-west-1:{'1' * 12}:stateMachine:{'m' * 80}"
    landed = S3Object("b" * 63, "k" * 1024, "1" * 12, "us-gov-west-1")
    detail = {"landed": {**landed.to_dict(), "bytes": 10**15, "sha256": "f" * 64}}
    entry = {"Detail": detail, "DetailType": "d" * 128, "EventBusName": machine, "Source": "s" * 256}
    assert len(json.dumps({"Entries": [{**entry, "Resources": [machine, machine]}]})) < RESERVED_BYTES


def test_execution_name_has_no_dot(states: States) -> None:
    """CloudWatch Logs would refuse the logs of an execution whose name has a dot."""
    dotted = ["2026.11.28-7", "2026-11-28.7", "." + "x" * 63, "x" * 63 + ".", "..."]
    plain = ["2026-11-28-7", "x" * 64, "A_b-9"]
    names = [execution_name(message_id) for message_id in (*dotted, *plain)]
    assert names[len(dotted) :] == plain
    assert all(re.fullmatch("[0-9A-Za-z_-]{1,80}", name) for name in names)
    assert len(set(names)) == len(names)
    # An id has at most 64 characters, so no id is the name of another id's execution.
    assert all(len(name) > 64 for name in names[: len(dotted)])
    request = {"stateMachineArn": MACHINE, "name": execution_name("a.b")}
    states[1].add_response("start_execution", {"executionArn": EXECUTION, "startDate": 0}, request | {"input": ANY})
    start(states, replace(HANDOFF, message_id="a.b"))
