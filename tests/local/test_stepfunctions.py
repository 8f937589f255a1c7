"""Step Functions' gap."""

import json

import pytest
from botocore.exceptions import ClientError

from local.accounts import Accounts
from tests.local.support import PUBLISHER, Account, eventually, unique

pytestmark = pytest.mark.system


def _machine(account: Account, *, seconds: int) -> str:
    states = {"Wait": {"Type": "Wait", "Seconds": seconds, "Next": "Done"}, "Done": {"Type": "Succeed"}}
    created = account.client("stepfunctions").create_state_machine(
        name=unique("machine"),
        definition=json.dumps({"StartAt": "Wait", "States": states}),
        roleArn=account.role_arn(account.role()),
    )
    arn: str = created["stateMachineArn"]
    return arn


def test_the_name_and_input_of_a_running_execution_answer_with_it(publisher: Account) -> None:
    start, machine = publisher.client("stepfunctions").start_execution, _machine(publisher, seconds=60)

    first = start(stateMachineArn=machine, name="message", input='{"n": 1}')
    again = start(stateMachineArn=machine, name="message", input='{"n": 1}')

    assert again["executionArn"] == first["executionArn"]
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(stateMachineArn=machine, name="message", input='{"n": 2}')


def test_the_name_of_a_finished_execution_is_taken(publisher: Account) -> None:
    client, machine = publisher.client("stepfunctions"), _machine(publisher, seconds=0)
    arn = client.start_execution(stateMachineArn=machine, name="message", input="{}")["executionArn"]
    eventually(lambda: client.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")

    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        client.start_execution(stateMachineArn=machine, name="message", input="{}")


def test_gap_start_by_name(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    start, machine = account.client("stepfunctions").start_execution, _machine(account, seconds=60)
    start(stateMachineArn=machine, name="message", input="{}")

    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(stateMachineArn=machine, name="message", input="{}")


def _fails_at_once(account: Account) -> tuple[str, str]:
    """A machine whose second state fails, and an execution of it that has."""
    client = account.client("stepfunctions")
    note = {"Type": "Pass", "Result": "first", "ResultPath": "$.noted", "Next": "End"}
    states = {"Note": note, "End": {"Type": "Fail", "Error": "Broken"}}
    machine: str = client.create_state_machine(
        name=unique("machine"),
        definition=json.dumps({"StartAt": "Note", "States": states}),
        roleArn=account.role_arn(account.role()),
    )["stateMachineArn"]
    execution: str = client.start_execution(stateMachineArn=machine, input='{"n": 1}')["executionArn"]
    eventually(lambda: client.describe_execution(executionArn=execution)["status"] == "FAILED")
    return machine, execution


def test_an_execution_is_redriven_from_the_state_that_failed_with_the_definition_it_began_with(
    publisher: Account,
) -> None:
    client = publisher.client("stepfunctions")
    machine, execution = _fails_at_once(publisher)
    assert client.describe_execution(executionArn=execution)["redriveStatus"] == "REDRIVABLE"
    mended = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
    client.update_state_machine(stateMachineArn=machine, definition=json.dumps(mended))

    client.redrive_execution(executionArn=execution)
    eventually(lambda: client.describe_execution(executionArn=execution)["status"] == "FAILED")

    assert client.describe_execution(executionArn=execution)["redriveCount"] == 1
    events = client.get_execution_history(executionArn=execution)["events"]
    entered = [e["stateEnteredEventDetails"] for e in events if "stateEnteredEventDetails" in e]
    assert [each["name"] for each in entered] == ["Note", "End", "End"]
    assert json.loads(entered[2]["input"]) == {"n": 1, "noted": "first"}


def test_what_did_not_end_badly_is_not_redriven(publisher: Account) -> None:
    client, machine = publisher.client("stepfunctions"), _machine(publisher, seconds=60)
    arn = client.start_execution(stateMachineArn=machine)["executionArn"]

    with pytest.raises(ClientError, match="ExecutionNotRedrivable"):
        client.redrive_execution(executionArn=arn)


def test_gap_redrive(bare: Accounts) -> None:
    account = Account(bare, PUBLISHER)
    _, execution = _fails_at_once(account)

    with pytest.raises(ClientError, match="Unknown action: RedriveExecution"):
        account.client("stepfunctions").redrive_execution(executionArn=execution)
