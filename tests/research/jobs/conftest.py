"""The job qc_metrics.py as a module: it is in no package."""

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.templates import ROOT

SCRIPT = ROOT / "research" / "jobs" / "qc_metrics.py"


@pytest.fixture(scope="session")
def job() -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("qc_metrics", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["qc_metrics"] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["qc_metrics"]
