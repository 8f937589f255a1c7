"""The example for a trial: no build, no endpoint that is paid for, nothing that remains."""

from access.assembly import StackTemplate
from tests.stacks.policies import only, resources
from tests.stacks.research.environments import load_example
from tests.templates import synthesize


def trial() -> StackTemplate:
    (stack,) = synthesize(load_example("research-trial.toml"))
    return stack


def test_trial_builds_nothing_and_pays_for_no_endpoint() -> None:
    template = trial().template
    for kind in ("Custom::ContainerImage", "AWS::CodeBuild::Project", "AWS::ECR::Repository", "AWS::Budgets::Budget"):
        assert not resources(template, kind), kind
    endpoints = resources(template, "AWS::EC2::VPCEndpoint").values()
    assert [endpoint["Properties"]["VpcEndpointType"] for endpoint in endpoints] == ["Gateway"]
    assert only(template, "AWS::SageMaker::Domain")["Properties"]["AuthMode"] == "IAM"
    assert len(resources(template, "AWS::SageMaker::UserProfile")) == 2


def test_trial_is_deleted_with_its_data() -> None:
    policies = {
        name: resource.get("DeletionPolicy", "Delete")
        for name, resource in trial().template["Resources"].items()
        if resource.get("DeletionPolicy", "Delete") != "Delete"
    }
    assert not policies
