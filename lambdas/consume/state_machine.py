"""The hand-off to an execution of the state machine: once for each message id."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from claim_check import Message, PayloadConflict, Proof
from shared.handoff import HandOff, InputTooLarge, Staging, prepare_handoff, reject_compressed

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


STATE_BYTES = 262_144
"""Largest input or output of a state. (Step Functions developer guide, "Service quotas".)"""
RESERVED_BYTES = 8_192
"""Space for data that states add to their input, such as the bucket and key of the landed payload."""
INPUT_BYTES = STATE_BYTES - RESERVED_BYTES


@dataclass(frozen=True, kw_only=True)
class StateMachine:
    """The state machine as an application."""

    arn: str
    staging: Staging
    states: "SFNClient"

    def find_earlier(self, message: Message) -> None:
        """Return None: Step Functions recognises a repeated message by the execution's name."""
        reject_compressed(message)

    def hand_off(self, message: Message, *, proof: Proof, result: Any, **_: object) -> str:
        """Start the message's execution, and return its ARN. Raises InputTooLarge and PayloadConflict."""
        handoff = prepare_handoff(message, proof, result=result, staging=self.staging)
        return start_execution(handoff, state_machine_arn=self.arn, states=self.states)


def start_execution(handoff: HandOff, *, state_machine_arn: str, states: "SFNClient") -> str:
    """Start an execution with the message's id as its name (`execution_name`), and return its ARN.

    Step Functions rejects a repeated name for 90 days. Therefore a repeated message starts no second execution, even if
    the first execution failed. A failed execution is redriven in Step Functions.

    Raises:
        PayloadConflict: An execution with another payload has this message id.
        InputTooLarge: Subject, attributes and own code's result exceed the size of an input.
    """
    # JSON escapes would turn a character of two bytes into six bytes.
    content = json.dumps(handoff.to_input(), ensure_ascii=False)
    if (size := len(content.encode())) > INPUT_BYTES:
        raise InputTooLarge(
            f"subject, attributes and result make an execution's input of {size} bytes, more than {INPUT_BYTES}: "
            "move some into the payload",
            message_id=handoff.message_id,
        )
    name = execution_name(handoff.message_id)
    try:
        return states.start_execution(stateMachineArn=state_machine_arn, name=name, input=content)["executionArn"]
    except states.exceptions.ExecutionAlreadyExists:
        arn = f"{state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
    earlier = HandOff.from_input(json.loads(states.describe_execution(executionArn=arn)["input"]))
    if earlier.fingerprint != handoff.fingerprint:
        raise PayloadConflict(
            f"another payload, with {earlier.fingerprint}, was handed off under this message id: "
            "publish each payload under its own id",
            message_id=handoff.message_id,
        )
    return arn


def execution_name(message_id: str) -> str:
    """Return the name of the message's execution: the id, or, if it has a dot, its beginning and its SHA-256.

    CloudWatch Logs accepts no dot in a name. (Step Functions API reference, StartExecution.) A name with a digest has
    more characters than an id, so two ids never have the same name.
    """
    if "." not in message_id:
        return message_id
    return f"{re.sub('[.]', '-', message_id[:15])}-{hashlib.sha256(message_id.encode()).hexdigest()}"
