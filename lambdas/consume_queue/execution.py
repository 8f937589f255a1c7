"""A handover starts an execution of the state machine: once, however often its message is delivered."""

import json
from typing import TYPE_CHECKING

from handover import Handover

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def start_execution(handover: Handover, *, state_machine_arn: str, states: "SFNClient") -> str:
    """Start an execution named by the message's id; answers its ARN.

    Step Functions remembers a name for 90 days, so that a message delivered again, or sent back from the dead-letter
    queue, starts nothing a second time; also not when its execution failed: that one is redriven in Step Functions.
    """
    try:
        return states.start_execution(
            stateMachineArn=state_machine_arn, name=handover.message_id, input=json.dumps(handover.to_input())
        )["executionArn"]
    except states.exceptions.ExecutionAlreadyExists:
        return f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{handover.message_id}"
