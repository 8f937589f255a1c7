"""The network: who may connect. tests/policies proves the other properties, and which group each resource has."""

from typing import Any

import pytest

from tests.stacks.policies import resources
from tests.stacks.research.environments import load_example, research_template, with_changes


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("research.toml", {}),
        ("research.toml", {"network": "internet", "pipelines": [{"name": "qc"}]}),
        ("research-images.toml", {}),
        ("research-images.toml", {"users": [{"name": "ada"}, {"name": "grace"}]}),
    ],
    ids=["single sign-on", "internet", "Studio Classic", "Studio Classic, two users"],
)
def test_no_app_or_job_reaches_another_researchers_app(file: str, changes: dict[str, Any]) -> None:
    """Apps have no sign-on: a network path to an app's port is access to it."""
    template = research_template(with_changes(load_example(file), changes))
    for group in resources(template, "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]
    for rule in resources(template, "AWS::EC2::SecurityGroupIngress").values():
        target, source = (rule["Properties"][name]["Fn::GetAtt"][0] for name in ("GroupId", "SourceSecurityGroupId"))
        if target.startswith("NetworkEndpoints"):
            assert rule["Properties"]["FromPort"] == rule["Properties"]["ToPort"] == 443
        else:
            # One researcher's apps of Studio Classic reach one another.
            assert target == source
            assert target.startswith("NetworkProfile")
