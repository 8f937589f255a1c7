"""Regions: which are opt-in, and which lack a resource type."""

from aws_cdk import region_info

from stacks.deployment import DeploymentError, load, parse, regions
from tests.stacks.schemas import types_by_region
from tests.templates import ROOT, synthesize

OF_EVERY_REGION = {"AWS::CDK::Metadata"}


def test_opt_in_regions_are_those_of_cdk() -> None:
    for region in regions.known_regions():
        assert regions.is_opt_in(region) == region_info.RegionInfo.get(region).is_opt_in_region, region


def test_missing_resource_types_are_those_of_cloudformation() -> None:
    """All types of the research stack, in the Regions of the pinned cfn-lint."""
    deployments = [load(ROOT / "deployments" / file) for file in ("research.toml", "research-images.toml")]
    templates = [stack.template for deployment in deployments for stack in synthesize(deployment)]
    used = {resource["Type"] for template in templates for resource in template["Resources"].values()}
    used = {kind for kind in used if kind.startswith("AWS::")} | {"AWS::SageMaker::Pipeline"}
    wrong = [
        (region, kind)
        for region, types in types_by_region().items()
        for kind in used - OF_EVERY_REGION
        if region in regions.known_regions() and regions.has_resource_type(region, kind) != (kind in types)
    ]
    assert not wrong


def test_research_keys_are_checked_in_every_region() -> None:
    """A file with every key is refused in each Region that lacks one of its types."""
    table = load(ROOT / "deployments" / "research.toml").model_dump(mode="json", exclude_none=True)
    for region, types in types_by_region().items():
        if region in regions.known_regions():
            changed = {**table, "research": {**table["research"], "region": region}}
            complete = {"AWS::IdentityStore::User", "AWS::SageMaker::Space", "AWS::SageMaker::Domain"} <= set(types)
            try:
                parse(changed)
            except DeploymentError:
                assert not complete, region
            else:
                assert complete, region
