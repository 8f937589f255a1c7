"""Refuses an update that would replace the domain, before CloudFormation begins with it.

The resource's physical id is what the domain was made with, so that no call is needed to compare; and a rollback, which
asks for what there was before, passes.
"""

from typing import Any

FIXED = {
    "AuthMode": "research.auth",
    "DomainName": "name",
    "KmsKeyId": "the key",
    "IdentityCenter": "research.identity_center.instance_arn",
}
"""Properties that a domain keeps for its life, and where each comes from in the deployment file."""


class WouldReplaceDomain(Exception):
    """The text says which property changed, from what to what, and what to do."""


def guard(event: dict[str, Any]) -> str:
    """The physical id.

    Raises:
        WouldReplaceDomain: the update changes what cannot be changed.
    """
    wanted = {name: str(event["ResourceProperties"].get(name, "")) for name in FIXED}
    identity = "|".join(wanted.values())
    made_with = event.get("PhysicalResourceId", identity)
    if event["RequestType"] == "Update" and made_with != identity:
        changed = [
            f"{FIXED[name]} from {before!r} to {after!r}"
            for (name, after), before in zip(wanted.items(), made_with.split("|"), strict=True)
            if before != after
        ]
        raise WouldReplaceDomain(
            f"Changing {', '.join(changed)} would replace the Studio domain, and with it every space and its volume. "
            "Put it back; or deploy a second environment under another name, move what is in the spaces, and remove "
            "this one"
        )
    return str(made_with)
