"""One environment in the shared emulator, with a proxy, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from local.emulator import Emulator
from tests.faults.environment import Environment
from tests.faults.proxy import Proxy

SEED = 4


@pytest.fixture(scope="session")
def proxy(emulator: Emulator) -> Iterator[Proxy]:
    with Proxy(seed=SEED) as proxy:
        yield proxy.start(emulator)


@pytest.fixture(scope="session")
def environment(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(emulator, tmp_path_factory.mktemp("environment"))
