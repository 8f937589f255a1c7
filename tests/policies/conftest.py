"""Deployments for the tests of policies and of their reader."""

from collections.abc import Iterator

import pytest

from access.findings import Case
from tests.policies.cases import VARIANTS, organization
from tests.policies.simulator import Simulator

FIRST = ("organization", "research-images")
"""The variants of `make test`. `make check` has all."""


@pytest.fixture(
    params=[name if name in FIRST else pytest.param(name, marks=pytest.mark.exhaustive) for name in VARIANTS]
)
def variant(request: pytest.FixtureRequest) -> Case:
    return VARIANTS[request.param]()


@pytest.fixture(scope="session")
def in_organization() -> Case:
    return organization()


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running
