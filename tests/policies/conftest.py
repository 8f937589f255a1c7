"""The example deployment, and one simulator for the session."""

import json
from collections.abc import Iterator

import pytest

from stacks.deployment import load_messaging, parse_messaging
from tests.policies.checks import Case, read_case
from tests.policies.simulator import Simulator
from tests.templates import ROOT


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture(scope="session")
def example() -> Case:
    return read_case(load_messaging(ROOT / "deployments" / "example.toml"))


@pytest.fixture(scope="session")
def in_organization(example: Case) -> Case:
    """The example in an organisation and with a landing bucket, so that it has every condition."""
    table = json.loads(example.deployment.model_dump_json())
    table["subscribers"][0] |= {"landing": {}}
    return read_case(parse_messaging({**table, "organization": "o-a1b2c3d4e5"}))
