"""Deployments for the tests of policies and of their reader."""

import pytest

from access.findings import Case
from tests.policies.cases import VARIANTS, organization


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Case:
    return VARIANTS[request.param]()


@pytest.fixture(scope="session")
def in_organization() -> Case:
    return organization()
