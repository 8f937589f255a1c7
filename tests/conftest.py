"""For all tests.

CDK's own validation of templates takes most of a process's first synth, and one test of its own,
`tests/policies/test_hygiene.py`, runs it. CDK reads the variable when it is imported; a fixture comes too late.
"""

import os
from collections.abc import Iterator

import pytest

from local import environment

environment.isolate()
os.environ["CDK_VALIDATION"] = "false"

from local.accounts import Accounts  # noqa: E402
from local.emulator import Emulator  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: a worker that came to them last would end with them alone."""
    items.sort(key=lambda item: "system" not in item.path.parts)


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """One emulator for all tests of a process. Give resources names that no other test uses."""
    with Emulator() as running:
        yield running


@pytest.fixture(scope="session")
def accounts(emulator: Emulator) -> Accounts:
    return Accounts(emulator)
