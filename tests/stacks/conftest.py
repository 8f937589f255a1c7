"""Templates of deployments, each synthesized once a session."""

import json

import pytest
from aws_cdk import App

from access.assembly import StackTemplate
from stacks.common.defaults import Defaults
from stacks.deployment import Deployment, load, load_messaging, parse_messaging
from stacks.deployment.names import Names
from stacks.publisher.stack import PublisherStack
from tests.stacks.policies import Template
from tests.templates import CONTEXT, ROOT, synthesize


@pytest.fixture(scope="session")
def example() -> Deployment:
    return load_messaging(ROOT / "deployments" / "example.toml")


@pytest.fixture(scope="session")
def templates(example: Deployment) -> dict[str, Template]:
    """The templates of the example, by stack name."""
    return {stack.name: stack.template for stack in synthesize(example)}


def publisher_template(deployment: Deployment) -> Template:
    """Return the template of the publisher's stack, which takes a part of the time of all stacks."""
    app, defaults = App(context=CONTEXT), Defaults(deployment)
    stack = PublisherStack(app, Names(deployment), settings=deployment.publisher, defaults=defaults)
    template: Template = app.synth().get_stack_by_name(stack.stack_name).template
    return template


RUNBOOK_URL = "https://wiki.example.com/runbook"


@pytest.fixture(scope="session")
def everything(example: Deployment) -> dict[str, StackTemplate]:
    """The stacks of a deployment with every alarm there is, without the senders' stacks, which have none."""
    table = json.loads(load(ROOT / "deployments" / "research-messages.toml").model_dump_json())
    orders, billing = json.loads(example.model_dump_json())["subscribers"]
    everywhere = json.loads(load(ROOT / "deployments" / "everywhere.toml").model_dump_json())
    (partner,) = (subscriber for subscriber in everywhere["subscribers"] if subscriber["kind"] == "https")
    service = {key: orders[key] for key in ("kind", "account", "region")} | {"name": "service", "application": "queue"}
    table["subscribers"] += [orders | {"landing": {}}, billing, partner, service]
    table["publisher"]["replicas"] = [orders["region"]]
    table["operations"] = {"emails": ["night@example.com"], "runbook": RUNBOOK_URL}
    stacks = synthesize(parse_messaging(table))
    return {stack.name: stack for stack in stacks if not stack.name.endswith("-sender")}
