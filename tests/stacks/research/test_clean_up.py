"""The custom resources that guard and empty the domain."""

import json
from typing import Any

import pytest

from domain_clean_up.settings import GUARD
from stacks.deployment import ResearchDeployment, parse
from stacks.deployment.research_checks import fixed_values
from tests.stacks.policies import Template, resolved
from tests.stacks.schemas import schema

FIXED = {
    ("AWS::SageMaker::Domain", "AuthMode"): "research.auth",
    ("AWS::SageMaker::Domain", "DomainName"): "name",
    ("AWS::SageMaker::Domain", "KmsKeyId"): "the domain's KMS key",
    ("AWS::SageMaker::Domain", "VpcId"): "research.vpc_id",
    ("AWS::SageMaker::UserProfile", "SingleSignOnUserIdentifier"): "research.auth",
    ("AWS::SageMaker::UserProfile", "SingleSignOnUserValue"): "research.users, name of the profile ada",
    ("AWS::SageMaker::Space", "OwnershipSettings"): "research.spaces, owner of single-cell",
    ("AWS::SageMaker::NotebookInstance", "KmsKeyId"): "the domain's KMS key",
    ("AWS::SageMaker::NotebookInstance", "NotebookInstanceName"): "name",
    ("AWS::SageMaker::NotebookInstance", "SubnetId"): "research.subnet_ids[0], the workstation's subnet",
    ("AWS::IdentityStore::User", "Emails"): "research.users, email of grace@example.com",
    ("AWS::IdentityStore::User", "IdentityStoreId"): "research.identity_center.identity_store_id",
    ("AWS::IdentityStore::User", "UserName"): "research.users, name of the profile grace-example-com",
    ("AWS::IdentityStore::Group", "IdentityStoreId"): "research.identity_center.identity_store_id",
}
"""Properties that cannot be changed, each with the guarded value."""
CONSTANT = {
    ("AWS::SageMaker::Space", "SpaceSharingSettings"),
    ("AWS::SageMaker::NotebookInstance", "DirectInternetAccess"),
    ("AWS::SageMaker::NotebookInstance", "PlatformIdentifier"),
}
"""Properties that no key of the deployment file changes."""
BY_CONSTRUCT = {
    ("AWS::SageMaker::UserProfile", "UserProfileName"),
    ("AWS::SageMaker::UserProfile", "DomainId"),
    ("AWS::SageMaker::Space", "SpaceName"),
    ("AWS::SageMaker::Space", "DomainId"),
    ("AWS::SageMaker::Image", "ImageName"),
    ("AWS::SageMaker::AppImageConfig", "AppImageConfigName"),
    ("AWS::SageMaker::Pipeline", "PipelineName"),
    ("AWS::SageMaker::NotebookInstance", "SecurityGroupIds"),
}
"""Properties that change only together with the logical id, which makes another resource."""
NAMED = {kind for kind, _ in (*FIXED, *CONSTANT, *BY_CONSTRUCT)}
"""Types whose resources have a name or hold data, so that CloudFormation cannot replace them."""


def fixed(template: Template) -> dict[str, str]:
    """Return the guarded values."""
    values: dict[str, str] = json.loads(resolved(template, GUARD)["Fixed"])
    return values


def test_fixed_properties_of_the_schemas_are_guarded(pipeline_template: Template, several_template: Template) -> None:
    """CloudFormation's schemas name the properties that need a replacement."""
    used, guarded = set(), {**fixed(pipeline_template), **fixed(several_template)}
    for template in (pipeline_template, several_template):
        for resource in template["Resources"].values():
            kind, properties = resource["Type"], resource.get("Properties", {})
            if kind in NAMED:
                found = schema(kind)
                paths = [*found["createOnlyProperties"], *found.get("conditionalCreateOnlyProperties", ())]
                used |= {(kind, path.split("/")[2]) for path in paths if _has(properties, path.split("/")[2:])}
    assert used == set(FIXED) | CONSTANT | BY_CONSTRUCT
    assert set(FIXED.values()) <= set(guarded)


def _has(properties: Any, path: list[str]) -> bool:
    return not path or (isinstance(properties, dict) and path[0] in properties and _has(properties[path[0]], path[1:]))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"auth": "iam", "identity_center": None, "groups": [], "users": [{"name": "ada"}]}, "research.auth"),
        ({"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}, "research.vpc_id"),
        ({"availability_zones": ["us-east-1b", "us-east-1c"]}, "research.availability_zones"),
        ({"spaces": [{"name": "single-cell", "owner": "grace@example.com"}]}, "research.spaces, owner of single-cell"),
    ],
)
def test_changed_key_changes_a_guarded_value(example: ResearchDeployment, changes: dict[str, Any], key: str) -> None:
    table = example.model_dump(mode="json", exclude_none=True)
    table["research"] = {name: value for name, value in {**table["research"], **changes}.items() if value is not None}
    changed = parse(table)
    assert isinstance(changed, ResearchDeployment)
    before, after = (fixed_values(each.research, domain="d", key_id="k") for each in (example, changed))
    assert key in before
    assert before[key] != after.get(key)
