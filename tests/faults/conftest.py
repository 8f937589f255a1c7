"""One site in an emulator, with the proxy in front of it, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from local.emulator import Emulator
from tests.faults.environment import Site
from tests.faults.proxy import Proxy

SEED = 4


@pytest.fixture(scope="session")
def proxy() -> Iterator[Proxy]:
    with Proxy(seed=SEED) as made:
        yield made


@pytest.fixture(scope="session")
def emulator(proxy: Proxy) -> Iterator[Emulator]:
    with Emulator() as running:
        proxy.start(running)
        yield running


@pytest.fixture(scope="session")
def site(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(emulator, tmp_path_factory.mktemp("site"))
