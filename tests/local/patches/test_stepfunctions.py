"""Patches of Step Functions. `tests/system/test_state_machines.py` tests the results of a distributed map."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.local.support import Account, eventually, unique

pytestmark = pytest.mark.system


def _machine(account: Account, *, seconds: int) -> str:
    """Create a state machine that waits, and return its ARN."""
    states = {"Wait": {"Type": "Wait", "Seconds": seconds, "Next": "Done"}, "Done": {"Type": "Succeed"}}
    return _create(account, {"StartAt": "Wait", "States": states})


def _create(account: Account, definition: dict[str, object]) -> str:
    arn: str = account.client("stepfunctions").create_state_machine(
        name=unique("machine"), definition=json.dumps(definition), roleArn=account.role_arn(account.role())
    )["stateMachineArn"]
    return arn


@pytest.mark.patched
@pytest.mark.aws
def test_start_returns_running_execution_of_same_input(publisher: Account) -> None:
    start, machine = publisher.client("stepfunctions").start_execution, _machine(publisher, seconds=60)

    first = start(stateMachineArn=machine, name="message", input='{"n": 1}')
    again = start(stateMachineArn=machine, name="message", input='{"n": 1}')

    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(stateMachineArn=machine, name="message", input='{"n": 2}')


@pytest.mark.aws
def test_name_of_finished_execution_is_rejected(publisher: Account) -> None:
    client, machine = publisher.client("stepfunctions"), _machine(publisher, seconds=0)
    arn = client.start_execution(stateMachineArn=machine, name="message", input="{}")["executionArn"]
    eventually(lambda: client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")

    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        client.start_execution(stateMachineArn=machine, name="message", input="{}")


@pytest.mark.patched
@pytest.mark.aws
def test_executions_of_unknown_machine_are_an_error(publisher: Account) -> None:
    machine = _machine(publisher, seconds=0)

    with pytest.raises(ClientError, match="StateMachineDoesNotExist"):
        publisher.client("stepfunctions").list_executions(stateMachineArn=f"{machine}-other")


def _failed_execution(account: Account) -> tuple[str, str]:
    """Run a state machine whose second state fails. Return the state machine and the execution."""
    client = account.client("stepfunctions")
    note = {"Type": "Pass", "Result": "first", "ResultPath": "$.noted", "Next": "End"}
    states = {"Note": note, "End": {"Type": "Fail", "Error": "Broken"}}
    machine = _create(account, {"StartAt": "Note", "States": states})
    execution: str = client.start_execution(stateMachineArn=machine, input='{"n": 1}')["executionArn"]
    eventually(lambda: client.describe_execution(executionArn=execution)["status"] == "FAILED")
    return machine, execution


@pytest.mark.patched
@pytest.mark.aws
def test_redrive_continues_with_the_first_definition(publisher: Account) -> None:
    client = publisher.client("stepfunctions")
    machine, execution = _failed_execution(publisher)
    assert client.describe_execution(executionArn=execution)["redriveStatus"] == "REDRIVABLE"
    fixed = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    client.update_state_machine(stateMachineArn=machine, definition=json.dumps(fixed))

    client.redrive_execution(executionArn=execution)
    eventually(lambda: client.describe_execution(executionArn=execution)["status"] == "FAILED")

    assert client.describe_execution(executionArn=execution)["redriveCount"] == 1
    events = client.get_execution_history(executionArn=execution)["events"]
    entered = [event["stateEnteredEventDetails"] for event in events if "stateEnteredEventDetails" in event]
    assert [state["name"] for state in entered] == ["Note", "End", "End"]
    assert json.loads(entered[2]["input"]) == {"n": 1, "noted": "first"}


@pytest.mark.aws
def test_running_execution_is_not_redriven(publisher: Account) -> None:
    client, machine = publisher.client("stepfunctions"), _machine(publisher, seconds=60)
    arn = client.start_execution(stateMachineArn=machine)["executionArn"]

    with pytest.raises(ClientError, match="ExecutionNotRedrivable"):
        client.redrive_execution(executionArn=arn)
