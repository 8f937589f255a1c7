"""An organisation's settings in the templates of all stacks."""

from importlib.metadata import version
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

from access.assembly import StackTemplate
from stacks.deployment import load, parse
from tests.templates import ROOT, synthesize

TAGS = {"cost-centre": "4711"}


def with_platform(stem: str, **keys: Any) -> tuple[StackTemplate, ...]:
    """Return the stacks of an example with keys of `[platform]`."""
    table = load(ROOT / "deployments" / f"{stem}.toml").model_dump(mode="json", exclude_none=True)
    return synthesize(parse(table | {"platform": keys}, ROOT / "deployments" / "deployment.toml"))


def test_every_stack_has_its_version() -> None:
    for stack in with_platform("everywhere"):
        assert stack.template["Outputs"]["CoatcheckVersion"]["Value"] == version("coatcheck")


@pytest.mark.parametrize("stem", ["everywhere", "same-region"])
def test_every_role_has_the_boundary_of_its_account(stem: str) -> None:
    for stack in with_platform(stem, permissions_boundary="team/boundary"):
        roles = [each for each in stack.template["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
        expected = f"arn:aws:iam::{stack.account}:policy/team/boundary"
        assert {role["Properties"].get("PermissionsBoundary") for role in roles} <= {expected}


def test_taggable_resources_have_the_tags() -> None:
    for stack in with_platform("everywhere", tags=TAGS) + with_platform("same-region", tags=TAGS):
        for logical, resource in stack.template["Resources"].items():
            if resource["Type"].startswith("AWS::") and resource["Type"] != "AWS::DynamoDB::GlobalTable":
                schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource["Type"]).schema
                if "Tags" in schema["properties"]:
                    assert "4711" in str(resource["Properties"].get("Tags")), (stack.name, logical)


def test_bootstrap_qualifier_selects_the_bootstrap_stack() -> None:
    for stack in with_platform("same-region", bootstrap_qualifier="team1"):
        text = str(stack.template)
        assert "/cdk-bootstrap/team1/version" in text
        assert "hnb659fds" not in text
