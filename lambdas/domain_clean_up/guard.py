"""Rejection of an update that changes a fixed value, before CloudFormation updates any other resource.

CloudFormation would replace the resource. The replacement of a domain or a space deletes data. That of a resource with
a fixed name fails in the middle of the update, because the name is taken.

The resource's physical id is a digest of the accepted values. Therefore the comparison needs no request, and a rollback
to these values is accepted.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from domain_clean_up.settings import GuardSettings


class CannotBeChanged(Exception):
    """The update changes a value that is fixed after the first deployment."""


def guard(event: dict[str, Any]) -> str:
    """Return the resource's physical id.

    Raises:
        CannotBeChanged: The update changes a value that is fixed after the first deployment.
    """
    fixed = GuardSettings.from_properties(event["ResourceProperties"]).fixed
    accepted = _digest(fixed)
    if event["RequestType"] == "Delete":
        return str(event["PhysicalResourceId"])
    if event["RequestType"] == "Update" and accepted != event["PhysicalResourceId"]:
        before = json.loads(event["OldResourceProperties"].get("Fixed", "{}"))
        # A key without a value before belongs to a new user, space or image.
        changes = [
            f"{key} from {before[key]!r} to {value!r}"
            for key, value in fixed.items()
            if before.get(key, value) != value
        ]
        if changes:
            raise CannotBeChanged(
                f"Cannot be changed after deployment: {', '.join(changes)}. Undo the change. Or add a new user, space "
                "or environment with another name, move the data, and remove the old one."
            )
    return accepted


def _digest(fixed: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:32]
