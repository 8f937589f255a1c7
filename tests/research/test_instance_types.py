"""Families of instance types with local storage."""

import pytest

from research.instance_types import LOCAL_STORAGE, family, has_local_storage
from stacks.deployment.research_checks import values

WITHOUT_LOCAL_STORAGE = {
    *("t3", "m4", "m5", "m6i", "m7i", "m7i-flex", "m8i", "m8i-flex"),
    *("c4", "c5", "c6i", "c7i", "c7i-flex", "c8i", "c8i-flex"),
    *("r5", "r6i", "r7i", "r8i", "r8i-flex", "p2", "p3"),
}


def test_every_family_of_jobs_is_classified() -> None:
    """A new family in SageMaker's API model: look up its storage in EC2's list of instance types."""
    families = {family(each) for each in values("ProcessingInstanceType")}
    assert families <= WITHOUT_LOCAL_STORAGE | LOCAL_STORAGE
    assert not WITHOUT_LOCAL_STORAGE & LOCAL_STORAGE


@pytest.mark.parametrize(
    ("instance_type", "local"),
    [("ml.m5.xlarge", False), ("ml.g5.xlarge", True), ("ml.r5d.large", True), ("ml.m7i-flex.large", False)],
)
def test_local_storage_is_known_by_type(instance_type: str, local: bool) -> None:
    assert has_local_storage(instance_type) is local
