"""The state machines as synthesized, run by the emulator's Step Functions with a function in the place of `land`."""

import json
from typing import Any

import pytest

from access.template import Resources
from local.accounts import Accounts
from stacks.deployment import Deployment, load_messaging, parse_messaging
from tests.local.support import Account, eventually, unique
from tests.templates import ROOT, synthesize

pytestmark = pytest.mark.system

LANDED = {"bytes": 3, "sha256": "0" * 64}
LAND = """
def handler(event, context):
    place = {"bucket": BUCKET, "key": "landed/" + event["message_id"]}
    return {**place, "bytes": 3, "sha256": "0" * 64}
"""


class Workflow:
    """A subscriber's state machine in the emulator, with its bus, and a queue that hears what is told there."""

    def __init__(self, accounts: Accounts, deployment: Deployment) -> None:
        subscriber = deployment.subscribers[0]
        self.account = Account(accounts, subscriber.account, subscriber.region)
        (stack,) = (s for s in synthesize(deployment) if s.name.endswith("-orders"))
        resources = stack.template["Resources"].values()
        (machine,) = (r["Properties"] for r in resources if r["Type"] == "AWS::StepFunctions::StateMachine")
        text: str = Resources(stack).resolve(machine["DefinitionString"], "definition")
        self.bucket = self.account.bucket()
        land = self.account.function(f"BUCKET = {self.bucket!r}\n{LAND}")
        bus = unique("bus")
        self.account.client("events").create_event_bus(Name=bus)
        named = f"{subscriber.account}-{subscriber.region}"
        for ours, theirs in (
            (f"arn:aws:lambda:{subscriber.region}:{subscriber.account}:function:coatcheck-orders-copy", land),
            (f"coatcheck-orders-landing-{named}", self.bucket),
            (f"event-bus/{bus}", f"event-bus/{bus}"),
            (f"event-bus/{machine['StateMachineName']}", f"event-bus/{bus}"),
            ('"EventBusName": "coatcheck-orders"', f'"EventBusName": "{bus}"'),
        ):
            text = text.replace(ours, theirs)
        self.definition = text
        self.told = self.account.queue_open_to("events.amazonaws.com", "arn:aws:events:*")
        events = self.account.client("events")
        pattern = json.dumps({"account": [subscriber.account]})
        events.put_rule(Name="told", EventBusName=bus, EventPattern=pattern)
        events.put_targets(Rule="told", EventBusName=bus, Targets=[{"Id": "told", "Arn": self.told}])
        created = self.account.client("stepfunctions").create_state_machine(
            name=unique("orders"), definition=text, roleArn=self.account.role_arn(self.account.role())
        )
        self.arn: str = created["stateMachineArn"]

    def run(self, message_id: str, payload: bytes) -> dict[str, Any]:
        """An execution, once it has ended."""
        self.account.client("s3").put_object(Bucket=self.bucket, Key=f"landed/{message_id}", Body=payload)
        states = self.account.client("stepfunctions")
        started = states.start_execution(
            stateMachineArn=self.arn, name=message_id, input=json.dumps({"message_id": message_id})
        )

        def ended() -> Any:
            execution = states.describe_execution(executionArn=started["executionArn"])
            return execution if execution["status"] != "RUNNING" else None

        found: dict[str, Any] = eventually(ended)
        return found

    def hears(self) -> dict[str, Any]:
        (message,) = eventually(lambda: self.account.messages(self.told))
        found: dict[str, Any] = json.loads(message["Body"])
        return found


def _deployment() -> Deployment:
    table = json.loads(load_messaging(ROOT / "deployments" / "example.toml").model_dump_json())
    table["subscribers"][0] |= {"landing": {}}
    return parse_messaging(table)


def test_built_in_state_machine_copies_and_publishes(accounts: Accounts) -> None:
    workflow = Workflow(accounts, _deployment())
    execution = workflow.run("m-1", b"abc")
    assert execution["status"] == "SUCCEEDED", execution
    output = json.loads(execution["output"])
    assert output["landed"] == {"bucket": workflow.bucket, "key": "landed/m-1", **LANDED}
    told = workflow.hears()
    assert (told["source"], told["detail-type"], told["detail"]) == ("coatcheck", "Payload processed", output)


def test_a_definition_of_ones_own_is_filled_in_and_runs(accounts: Accounts) -> None:
    workflow = Workflow(accounts, load_messaging(ROOT / "deployments" / "workflow.toml"))
    assert "${" not in workflow.definition
    dynamodb = workflow.account.client("dynamodb")
    dynamodb.create_table(
        TableName="order-files",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    execution = workflow.run("m-1", b"abc")
    assert execution["status"] == "SUCCEEDED", execution
    item = dynamodb.get_item(TableName="order-files", Key={"id": {"S": "m-1"}})["Item"]
    assert item["uri"] == {"S": f"s3://{workflow.bucket}/landed/m-1"}
    assert workflow.hears()["detail-type"] == "Order file landed"
