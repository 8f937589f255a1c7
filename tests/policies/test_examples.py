"""The policies of all example deployments."""

from pathlib import Path

import pytest

from stacks.deployment import load
from tests.policies.checks import assert_as_intended, read_case
from tests.templates import EXAMPLES

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda path: path.stem)
def test_policies_are_as_intended(file: Path) -> None:
    assert_as_intended(read_case(load(file)))


def test_examples_are_found() -> None:
    assert len(EXAMPLES) >= 8
