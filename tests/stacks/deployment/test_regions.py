"""Regions: the opt-in ones are those of CDK's data."""

from aws_cdk import region_info

from stacks.deployment import regions


def test_opt_in_regions_are_those_of_cdk() -> None:
    for region in regions.known_regions():
        assert regions.is_opt_in(region) == region_info.RegionInfo.get(region).is_opt_in_region, region
