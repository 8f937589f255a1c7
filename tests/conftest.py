"""For all tests.

CDK's own validation of templates takes most of a process's first synth, and one test of its own,
`tests/policies/test_hygiene.py`, runs it. CDK reads the variable when it is imported; a fixture comes too late.
"""

import os

import pytest

os.environ["CDK_VALIDATION"] = "false"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: a worker that came to them last would end with them alone."""
    items.sort(key=lambda item: "system" not in item.path.parts)
