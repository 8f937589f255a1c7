"""The guard: updates of what cannot be changed are rejected, and their rollback is accepted."""

from typing import Any

import pytest

from domain_clean_up.guard import CannotBeChanged, guard
from domain_clean_up.settings import GuardSettings

FIXED = {"research.auth": "sso", "name": "coatcheck-research", "research.spaces, owner of single-cell": "ada"}


def properties(fixed: dict[str, str]) -> dict[str, str]:
    return GuardSettings(fixed=fixed).to_properties()


CREATED = guard({"RequestType": "Create", "ResourceProperties": properties(FIXED)})


def update(before: dict[str, str], after: dict[str, str], physical_id: str = CREATED) -> dict[str, Any]:
    return {
        "RequestType": "Update",
        "PhysicalResourceId": physical_id,
        "ResourceProperties": properties(after),
        "OldResourceProperties": properties(before),
    }


@pytest.mark.parametrize("key", FIXED)
def test_change_is_rejected_with_key_and_values(key: str) -> None:
    text = f"after deployment: {key} from '{FIXED[key]}' to 'other'. Undo the change."
    with pytest.raises(CannotBeChanged, match=text):
        guard(update(FIXED, FIXED | {key: "other"}))


def test_all_changes_are_named() -> None:
    with pytest.raises(CannotBeChanged, match=r"auth from 'sso' to 'iam', name from 'coatcheck-research' to 'lab'"):
        guard(update(FIXED, FIXED | {"research.auth": "iam", "name": "lab"}))


def test_new_and_removed_members_are_accepted() -> None:
    after = {**FIXED, "research.spaces, owner of atlas": "grace"}
    del after["research.spaces, owner of single-cell"]
    assert guard(update(FIXED, after)) != CREATED


def test_rollback_is_accepted() -> None:
    """CloudFormation updates the resource to the earlier properties, with the rejected ones as the old properties."""
    assert guard(update(FIXED | {"name": "other"}, FIXED)) == CREATED
    # Of an accepted update, when another resource fails.
    added = FIXED | {"research.spaces, owner of atlas": "grace"}
    assert guard(update(added, FIXED, physical_id=guard(update(FIXED, added)))) == CREATED


def test_deletion_is_accepted() -> None:
    event = {"RequestType": "Delete", "PhysicalResourceId": "any", "ResourceProperties": properties({"name": "x"})}
    assert guard(event) == "any"


def test_physical_id_is_short_for_many_members() -> None:
    """CloudFormation accepts 1 KB."""
    many = {f"research.spaces, owner of {number}": "ada" * 100 for number in range(1000)}
    assert len(guard({"RequestType": "Create", "ResourceProperties": properties(many)})) == 32
