"""The app: which stacks a deployment has, their protection and their order."""

import json

import pytest
from aws_cdk import App
from aws_cdk.cx_api import CloudFormationStackArtifact, SynthesisMessageLevel

from app import add_stacks
from stacks.deployment import Deployment, load_messaging, parse_messaging
from tests.templates import CONTEXT, ROOT

STACKS = {
    "coatcheck-publisher",
    "coatcheck-shop-sender",
    "coatcheck-orders",
    "coatcheck-orders-undelivered",
    "coatcheck-billing",
}


@pytest.fixture
def example() -> Deployment:
    return load_messaging(ROOT / "deployments" / "example.toml")


def artifacts(deployment: Deployment) -> dict[str, CloudFormationStackArtifact]:
    app = App(context=CONTEXT)
    add_stacks(app, deployment)
    return {stack.stack_name: stack for stack in app.synth().stacks}


def test_stacks_of_one_account_are_deployed_in_order(example: Deployment) -> None:
    table = json.loads(example.model_dump_json())
    table["subscribers"][1]["account"] = table["publisher"]["account"]
    stacks = artifacts(parse_messaging(table))
    before = {name: {dependency.id for dependency in stack.dependencies} & STACKS for name, stack in stacks.items()}
    assert before["coatcheck-billing"] == {"coatcheck-publisher"}
    assert before["coatcheck-orders"] == {"coatcheck-orders-undelivered"}


def test_warning_names_its_subscribers_stack(example: Deployment) -> None:
    table = json.loads(example.model_dump_json(exclude_none=True))
    orders, billing = table["subscribers"]
    orders["filter_policy"], billing["filter_policy"] = {"sender": ["shpo"]}, {"source": ["shop.orders"]}
    found = {
        (name, message.level, str(message.entry.data).partition("[ack: ")[2])
        for name, stack in artifacts(parse_messaging(table)).items()
        for message in stack.messages
    }
    assert found == {("coatcheck-orders", SynthesisMessageLevel.WARNING, "coatcheck:filter-policy]")}
