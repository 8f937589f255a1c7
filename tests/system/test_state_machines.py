"""The built-in state machine and the sample definitions, run by the emulator with another copy function."""

import json
from pathlib import Path
from typing import Any

import pytest

from access.assembly import read
from access.template import Resources
from local.accounts import Accounts
from stacks.deployment import Deployment
from tests.local.support import Account, eventually, unique
from tests.stacks.subscriber.support import EXAMPLE, assembly, changed
from tests.templates import ROOT

pytestmark = [pytest.mark.system, pytest.mark.exhaustive]

SAMPLES = ROOT / "applications" / "state_machine"
ACCOUNT, REGION = "222222222222", "us-west-2"
COPY_FUNCTION = """
def handler(event, context):
    return {"bucket": BUCKET, "key": "landed/" + event["message_id"], "bytes": 3, "sha256": "0" * 64}
"""


class StateMachine:
    """The state machine of the subscriber `orders` in the emulator, and a queue for the events on its bus."""

    def __init__(self, accounts: Accounts, deployment: Deployment) -> None:
        self.account = Account(accounts, ACCOUNT, REGION)
        stacks = read(Path(assembly(deployment, "orders").directory))
        (stack,) = (stack for stack in stacks if stack.name == "coatcheck-orders")
        resources = stack.template["Resources"].values()
        (properties,) = (
            resource["Properties"] for resource in resources if resource["Type"] == "AWS::StepFunctions::StateMachine"
        )
        self.definition: str = Resources(stack).resolve(properties["DefinitionString"], "definition")
        self.bucket = self.account.bucket()
        bus = unique("bus")
        for deployed, replacement in (
            (
                f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:coatcheck-orders-copy",
                self.account.function(f"BUCKET = {self.bucket!r}\n{COPY_FUNCTION}"),
            ),
            (f"coatcheck-orders-landing-{ACCOUNT}-{REGION}", self.bucket),
            ("event-bus/coatcheck-orders", f"event-bus/{bus}"),
            ('"EventBusName": "coatcheck-orders"', f'"EventBusName": "{bus}"'),
        ):
            self.definition = self.definition.replace(deployed, replacement)
        self._queue = self.account.queue_for("events.amazonaws.com", "arn:aws:events:*")
        events = self.account.client("events")
        events.create_event_bus(Name=bus)
        events.put_rule(Name="all", EventBusName=bus, EventPattern=json.dumps({"account": [ACCOUNT]}))
        events.put_targets(Rule="all", EventBusName=bus, Targets=[{"Id": "queue", "Arn": self._queue}])
        created = self.account.client("stepfunctions").create_state_machine(
            name=unique("orders"), definition=self.definition, roleArn=self.account.role_arn(self.account.role())
        )
        self._arn: str = created["stateMachineArn"]

    def run(self, message_id: str, payload: bytes) -> dict[str, Any]:
        """Run an execution and return its output."""
        self.account.client("s3").put_object(Bucket=self.bucket, Key=f"landed/{message_id}", Body=payload)
        states = self.account.client("stepfunctions")
        arn = states.start_execution(
            stateMachineArn=self._arn, name=message_id, input=json.dumps({"message_id": message_id})
        )["executionArn"]
        eventually(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        execution = states.describe_execution(executionArn=arn)
        assert execution["status"] == "SUCCEEDED", execution
        output: dict[str, Any] = json.loads(execution["output"])
        return output

    def event(self) -> dict[str, Any]:
        """Return the one event on the bus."""
        (message,) = eventually(lambda: self.account.messages(self._queue))
        event: dict[str, Any] = json.loads(message["Body"])
        return event

    def read(self, key: str) -> Any:
        return json.loads(self.account.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read())


def _sample(name: str) -> Deployment:
    files = {"definition": f"{name}.asl.json", "permissions": f"{name}.permissions.json"}
    return changed(EXAMPLE, "orders", SAMPLES, landing={}, state_machine=files)


def test_built_in_state_machine_copies_and_publishes(accounts: Accounts) -> None:
    machine = StateMachine(accounts, changed(EXAMPLE, "orders", landing={}))
    output = machine.run("m-1", b"abc")
    landed = {"bucket": machine.bucket, "key": "landed/m-1", "bytes": 3, "sha256": "0" * 64}
    assert output["landed"] == landed
    event = machine.event()
    assert (event["source"], event["detail-type"], event["detail"]) == ("coatcheck", "Payload processed", output)


def test_orders_sample_records_the_file(accounts: Accounts) -> None:
    machine = StateMachine(accounts, _sample("orders"))
    assert "${" not in machine.definition
    dynamodb = machine.account.client("dynamodb")
    dynamodb.create_table(
        TableName="order-files",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    machine.run("m-1", b"abc")
    item = dynamodb.get_item(TableName="order-files", Key={"id": {"S": "m-1"}})["Item"]
    assert item["uri"] == {"S": f"s3://{machine.bucket}/landed/m-1"}
    assert machine.event()["detail-type"] == "Order file landed"


def test_rows_sample_processes_each_row(accounts: Accounts) -> None:
    """The emulator's distributed map, with the patch that writes its results."""
    machine = StateMachine(accounts, _sample("rows"))
    output = machine.run("m-1", b"name,amount\nWintermantel,2\nSchal,1\n")
    manifest = output["rows"]["ResultWriterDetails"]["Key"]
    assert manifest.startswith("results/m-1/")
    (succeeded,) = machine.read(manifest)["ResultFiles"]["SUCCEEDED"]
    rows = [json.loads(item["Output"]) for item in machine.read(succeeded["Key"])]
    assert sorted(rows, key=str) == [{"name": "Schal", "amount": "1"}, {"name": "Wintermantel", "amount": "2"}]
    assert machine.event()["detail-type"] == "Rows processed"
