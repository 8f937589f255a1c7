"""Rejection of an update that would replace the domain, before CloudFormation updates any other resource.

The resource's physical id contains the settings with which the domain was created. Therefore the comparison needs no
request, and a rollback to these settings is accepted.
"""

from dataclasses import asdict
from typing import Any

from domain_clean_up.settings import GuardSettings

KEYS = {
    "auth_mode": "research.auth",
    "domain_name": "name",
    "kms_key_id": "the key",
    "identity_center": "research.identity_center.instance_arn",
}
"""The key of the deployment file for each setting."""


class WouldReplaceDomain(Exception):
    """The update changes a setting that is fixed when a domain is created."""


def guard(event: dict[str, Any]) -> str:
    """Return the resource's physical id.

    Raises:
        WouldReplaceDomain: The update changes a setting that is fixed when a domain is created.
    """
    settings: dict[str, str] = asdict(GuardSettings.from_properties(event["ResourceProperties"]))
    identity = "|".join(settings.values())
    created_with = str(event.get("PhysicalResourceId", identity))
    if event["RequestType"] == "Update" and created_with != identity:
        changed = [
            f"{KEYS[name]} from {before!r} to {after!r}"
            for (name, after), before in zip(settings.items(), created_with.split("|"), strict=True)
            if before != after
        ]
        raise WouldReplaceDomain(
            f"Changing {', '.join(changed)} would replace the Studio domain and delete every space with its volume. "
            "Undo the change. Or deploy a second environment with another name, move the contents of the spaces, and "
            "remove this one."
        )
    return created_with
