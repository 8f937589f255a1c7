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
