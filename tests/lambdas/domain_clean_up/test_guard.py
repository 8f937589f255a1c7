"""The guard: updates that would replace the domain are rejected, and their rollback is accepted."""

from typing import Any

import pytest

from domain_clean_up.guard import WouldReplaceDomain, guard
from domain_clean_up.settings import GuardSettings

PROPERTIES = GuardSettings(
    auth_mode="sso",
    domain_name="coatcheck-research",
    kms_key_id="key-1",
    identity_center="arn:aws:sso:::instance/ssoins-1234567890abcdef",
).to_properties()


def event(request_type: str, **changes: str) -> dict[str, Any]:
    physical_id = {} if request_type == "Create" else {"PhysicalResourceId": "|".join(PROPERTIES.values())}
    return {"RequestType": request_type, "ResourceProperties": PROPERTIES | changes, **physical_id}


def test_physical_id_contains_the_settings() -> None:
    assert guard(event("Create")) == "sso|coatcheck-research|key-1|arn:aws:sso:::instance/ssoins-1234567890abcdef"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("AuthMode", "research.auth"),
        ("DomainName", "name"),
        ("KmsKeyId", "the key"),
        ("IdentityCenter", "research.identity_center.instance_arn"),
    ],
)
def test_replacement_of_the_domain_is_rejected(name: str, key: str) -> None:
    with pytest.raises(WouldReplaceDomain, match=rf"Changing {key} from '{PROPERTIES[name]}' to 'other' would replace"):
        guard(event("Update", **{name: "other"}))


@pytest.mark.parametrize("request_type", ["Update", "Delete"])
def test_rollback_and_deletion_are_accepted(request_type: str) -> None:
    assert guard(event(request_type)) == guard(event("Create"))
    # The deletion of a resource whose update was rejected has the rejected properties.
    assert guard(event("Delete", AuthMode="iam")) == guard(event("Create"))
