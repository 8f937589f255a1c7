"""The example deployment in an organisation."""

import pytest

from access.findings import Case
from tests.policies.cases import organization


@pytest.fixture(scope="session")
def in_organization() -> Case:
    return organization()
