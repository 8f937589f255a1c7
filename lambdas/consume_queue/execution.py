"""A handover starts an execution of the state machine: once, however often its message is delivered."""

import json
from typing import TYPE_CHECKING

from claim_check import ClaimCheckError, PayloadConflict
from shared.handoff import Handover

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


LARGEST_STATE = 262_144  # bytes of an input or an output, says Step Functions
ROOM_FOR_STATES = 8_192
"""Bytes that are left to states, which add to their input where the payload was landed and what became of its items."""
LARGEST_INPUT = LARGEST_STATE - ROOM_FOR_STATES


class InputTooLarge(ClaimCheckError):
    """What travels beside the payload, its subject and attributes, is more than an execution can be given."""

    advice = "Publish the message again with fewer attributes, under another message id."


def start_execution(handover: Handover, *, state_machine_arn: str, states: "SFNClient") -> str:
    """Start an execution named by the message's id; answers its ARN.

    Step Functions remembers a name for 90 days, so that a message delivered again, or sent back from the dead-letter
    queue, starts nothing a second time; also not when its execution failed: that one is redriven in Step Functions.

    Raises:
        PayloadConflict: another payload was handed on under the same message id.
        InputTooLarge: subject and attributes are more than an execution can be given.
    """
    # Not escaped: escaping would make six bytes of two.
    given = json.dumps(handover.to_input(), ensure_ascii=False)
    if (size := len(given.encode())) > LARGEST_INPUT:
        raise InputTooLarge(
            f"subject and attributes make an execution's input of {size} bytes, more than {LARGEST_INPUT}: "
            "move some into the payload",
            message_id=handover.message_id,
        )
    try:
        return states.start_execution(
            stateMachineArn=state_machine_arn,
            name=handover.message_id,
            input=given,
        )["executionArn"]
    except states.exceptions.ExecutionAlreadyExists:
        arn = f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{handover.message_id}"
    earlier = json.loads(states.describe_execution(executionArn=arn)["input"])
    if earlier["summary"]["sha256"] != handover.sha256:
        raise PayloadConflict(
            f"another payload, with SHA-256 {earlier['summary']['sha256']}, was handed on under this message id: "
            "give every payload an id of its own",
            message_id=handover.message_id,
        )
    return arn
