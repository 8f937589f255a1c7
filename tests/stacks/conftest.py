"""Templates of deployments, each synthesized once a session."""

from collections.abc import Callable
from typing import Any

import pytest

from stacks.deployment import Deployment, load_messaging
from tests.templates import ROOT, synthesize

Template = dict[str, Any]


def _templates(deployment: Deployment) -> dict[str, Template]:
    return {stack.name: stack.template for stack in synthesize(deployment)}


@pytest.fixture(scope="session")
def synth() -> Callable[[Deployment], dict[str, Template]]:
    """Templates of a deployment by stack name."""
    return _templates


@pytest.fixture(scope="session")
def example() -> Deployment:
    return load_messaging(ROOT / "deployments" / "example.toml")


@pytest.fixture(scope="session")
def templates(synth: Callable[[Deployment], dict[str, Template]], example: Deployment) -> dict[str, Template]:
    return synth(example)
