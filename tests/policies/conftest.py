"""The example deployment, judged; and one simulator for the session."""

import json
from collections.abc import Iterator

import pytest

from stacks.deployment import Deployment, load_messaging, parse_messaging
from tests.policies.simulator import Simulator
from tests.policies.verdict import Judged, judged
from tests.templates import ROOT, synthesize


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture(scope="session")
def example() -> Judged:
    return _judged(load_messaging(ROOT / "deployments" / "example.toml"))


@pytest.fixture(scope="session")
def in_organization(example: Judged) -> Judged:
    """The example, in an organisation and with all that a subscriber can have: every condition there is."""
    table = json.loads(example.deployment.model_dump_json())
    table["subscribers"][0] |= {"landing": {}}
    return _judged(parse_messaging({**table, "organization": "o-a1b2c3d4e5"}))


def _judged(deployment: Deployment) -> Judged:
    return judged(deployment, synthesize(deployment))
