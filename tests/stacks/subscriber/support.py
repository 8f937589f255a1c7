"""Templates of a subscriber's stacks alone: synthesizing the whole deployment takes several times as long."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from aws_cdk import App
from aws_cdk.cx_api import CloudAssembly

from access.assembly import read
from app import add_subscriber
from stacks.common.defaults import Defaults
from stacks.deployment import Deployment, load_messaging, parse_messaging
from stacks.deployment.names import Names
from tests.stacks.policies import Template
from tests.templates import CONTEXT, ROOT

DEPLOYMENTS = ROOT / "deployments"
EXAMPLE = load_messaging(DEPLOYMENTS / "example.toml")
"""The example: `orders` has a queue and is in another Region than the topic; `billing` has a function."""
TOPIC = "arn:aws:sns:us-east-1:111111111111:coatcheck-messages"


def changed(deployment: Deployment, name: str, /, folder: Path = DEPLOYMENTS, **keys: Any) -> Deployment:
    """Return the deployment with other keys of one subscriber. Paths among them are relative to `folder`."""
    table = json.loads(deployment.model_dump_json(exclude_none=True))
    (subscriber,) = (subscriber for subscriber in table["subscribers"] if subscriber["name"] == name)
    subscriber |= keys
    return parse_messaging(table, folder / "deployment.toml")


@cache
def assembly(deployment: Deployment, name: str) -> CloudAssembly:
    """Return the cloud assembly of the subscriber's stacks."""
    app = App(context=CONTEXT)
    (subscriber,) = (subscriber for subscriber in deployment.subscribers if subscriber.name == name)
    add_subscriber(app, deployment, Names(deployment), subscriber, Defaults(deployment))
    return app.synth()


@cache
def templates(deployment: Deployment, name: str) -> dict[str, Template]:
    """Return the templates of the subscriber's stacks, by stack name."""
    return {stack.name: stack.template for stack in read(Path(assembly(deployment, name).directory))}


def template(deployment: Deployment, name: str) -> Template:
    """Return the template of the subscriber's own stack, without the one in the topic's Region."""
    return templates(deployment, name)[f"{deployment.name}-{name}"]
