"""Templates of deployments, each synthesized once a session: the first synth of a process takes seconds."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

from app import add_stacks
from stacks.deployment import Deployment

ROOT = Path(__file__).parents[2]
Template = dict[str, Any]


@pytest.fixture(scope="session", autouse=True)
def _quick_synth() -> Iterator[None]:
    """CDK's own template validation takes most of a synth; one test of its own runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDK_VALIDATION", "false")
        yield


@cache
def _templates(deployment: Deployment) -> dict[str, Template]:
    app = App(context=json.loads((ROOT / "cdk.json").read_text())["context"])
    add_stacks(app, deployment)
    return {stack.stack_name: stack.template for stack in app.synth().stacks}


@pytest.fixture(scope="session")
def synth() -> Callable[[Deployment], dict[str, Template]]:
    """Templates of a deployment by stack name."""
    return _templates


@pytest.fixture(scope="session")
def example() -> Deployment:
    return Deployment.load(ROOT / "deployments" / "example.toml")


@pytest.fixture(scope="session")
def templates(synth: Callable[[Deployment], dict[str, Template]], example: Deployment) -> dict[str, Template]:
    return synth(example)
