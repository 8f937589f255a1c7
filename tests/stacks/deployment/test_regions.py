"""Regions: which are opt-in, and which lack a resource type."""

import re
from typing import Any

import pytest
from aws_cdk import region_info
from pydantic import TypeAdapter

from stacks.deployment import DeploymentError, load, load_messaging, parse, parse_messaging, regions
from stacks.deployment.types import AvailabilityZone
from tests.stacks.deployment.samples import BILLING, ORDERS, PARTNER, VALID, problem, problems
from tests.stacks.schemas import types_by_region
from tests.templates import ROOT, synthesize
from tools import region_table

SUBNET = "AWS::EC2::Subnet"


def test_opt_in_regions_are_those_of_cdk() -> None:
    for region in regions.known_regions():
        assert regions.is_opt_in(region) == region_info.RegionInfo.get(region).is_opt_in_region, region


def test_region_table_is_up_to_date() -> None:
    assert regions.TABLE_FILE.read_text(encoding="utf-8") == region_table.render(), "run: python tools/region_table.py"


def _types(template: dict[str, Any]) -> set[str]:
    kinds = {resource["Type"] for resource in template["Resources"].values()}
    return {kind for kind in kinds if kind.startswith("AWS::")} - {"AWS::CDK::Metadata"}


def test_region_without_schemas_is_not_known() -> None:
    unknown = {region for region in regions.known_regions() if not regions.has_schemas(region)}
    assert {region for region in unknown if regions.partition(region) in ("aws", "aws-cn", "aws-us-gov")} == {
        "me-south-1"
    }
    assert "eusc-de-east-1" in unknown


def test_partitions_are_those_of_cdk() -> None:
    for region in regions.known_regions():
        facts = region_info.RegionInfo.get(region)
        assert (facts.partition, facts.domain_suffix) == (regions.partition(region), regions.dns_suffix(region))


@pytest.mark.parametrize("subscriber", [ORDERS, BILLING, PARTNER], ids=lambda table: table["kind"])
def test_region_without_a_type_is_refused(subscriber: dict[str, Any]) -> None:
    example = load_messaging(ROOT / "deployments" / "example.toml")
    table = {**VALID, "subscribers": [subscriber]}
    used = {kind for stack in synthesize(example) for kind in _types(stack.template)}
    if subscriber["kind"] != "lambda":
        used.discard("AWS::CodeBuild::Project")
    for region, types in types_by_region().items():
        if regions.has_schemas(region):
            publisher = {"account": "111111111111", "region": region}
            own = {**subscriber, "region": region}
            try:
                parse({**table, "publisher": publisher, "senders": [], "subscribers": [own]})
            except DeploymentError:
                assert used - set(types), region
            else:
                assert not used - set(types), region


@pytest.mark.parametrize("region", ["ap-east-2", "ca-west-1", "mx-central-1"])
def test_task_image_is_required_without_builds(region: str) -> None:
    table = {**VALID, "publisher": {"account": "111111111111", "region": region}}
    billing = {**BILLING, "region": region}
    assert problem({**table, "subscribers": [billing]}).startswith(
        f"subscribers[0].task.image: is required in {region}, where CloudFormation has no AWS::CodeBuild::Project"
    )
    image = f"public.ecr.aws/example/billing@sha256:{'0' * 64}"
    parse({**table, "subscribers": [{**billing, "task": {"image": image}}]})


@pytest.mark.parametrize("region", ["us-west-1", "ap-northeast-1", "cn-north-1"])
def test_created_network_is_in_zones_with_fargate(region: str) -> None:
    table = {**VALID, "publisher": {"account": "111111111111", "region": region}, "senders": []}
    stacks = synthesize(parse_messaging({**table, "subscribers": [{**BILLING, "region": region}]}))
    (billing,) = (stack for stack in stacks if stack.name == "coatcheck-billing")
    subnets = [each["Properties"] for each in billing.template["Resources"].values() if each["Type"] == SUBNET]
    assert [subnet["AvailabilityZoneId"] for subnet in subnets] == list(regions.FARGATE_ZONES[region])
    assert all("AvailabilityZone" not in subnet for subnet in subnets)  # CloudFormation accepts one of the two


@pytest.mark.parametrize("region", ["eusc-de-east-1", "us-iso-east-1", "cn-north-1", "us-gov-west-1"])
def test_values_of_every_partition_are_accepted(region: str) -> None:
    service = f"arn:{regions.partition(region)}:iam::222222222222:role/service"
    own = {**ORDERS, "region": region, "application": "queue", "reader_principals": [service]}
    table = {**VALID, "publisher": {"account": "111111111111", "region": region}, "senders": []}
    parse({**table, "subscribers": [own]})
    assert re.fullmatch(_pattern(AvailabilityZone), f"{region}a")


def _pattern(kind: Any) -> str:
    return str(TypeAdapter(kind).json_schema()["pattern"])


def test_isolated_region_needs_existing_images() -> None:
    """Its partition has no internet, from which the base images come."""
    region = "us-iso-east-1"
    table = {**VALID, "publisher": {"account": "111111111111", "region": region}, "senders": []}
    text = problem({**table, "subscribers": [{**BILLING, "region": region}]})
    assert text.startswith(f"subscribers[0].task.image: is required in {region}, from which a build does not reach")
    research = load(ROOT / "deployments" / "research-trial.toml").model_dump(mode="json", exclude_none=True)
    found = problems({**research, "research": {**research["research"], "region": region}})
    assert any(text.startswith(f'research.region = "{region}": is without internet') for text in found)


def test_research_keys_are_checked_in_every_region() -> None:
    """A file with every key is refused in each Region that lacks one of its types."""
    table = load(ROOT / "deployments" / "research.toml").model_dump(mode="json", exclude_none=True)
    for region, types in types_by_region().items():
        if regions.has_schemas(region):
            changed = {**table, "research": {**table["research"], "region": region}}
            complete = {"AWS::IdentityStore::User", "AWS::SageMaker::Space", "AWS::SageMaker::Domain"} <= set(types)
            try:
                parse(changed)
            except DeploymentError:
                assert not complete, region
            else:
                assert complete, region
