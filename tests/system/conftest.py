"""One run of the demo. Its world is also that of verification, dead letters and doctor."""

from collections.abc import Iterator

import pytest

from tests.system.support import Demo


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    demo.world.stop()
