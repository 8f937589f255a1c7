"""Partitions and Regions of AWS, with their resource types."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from botocore.session import Session

# Regions of the partition `aws` launched before 20 March 2019. Later Regions are opt-in, so a Region that is not in
# this list is treated as opt-in. In the other partitions, accounts have all Regions.
_ENABLED_BY_DEFAULT = frozenset(
    {
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
        *("ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
    }
)


@lru_cache
def _session() -> Session:
    # Without the user's AWS profile: synthesis needs no credentials.
    return Session(session_vars={"profile": (None, None, None, None)})


@lru_cache
def known_regions() -> frozenset[str]:
    """Return the Regions of all partitions."""
    return frozenset(
        region
        for partition in _session().get_available_partitions()
        for region in _session().get_available_regions("sns", partition)
    )


def partition(region: str) -> str:
    """Return the Region's partition: `aws`, `aws-cn`, `aws-us-gov`, `aws-eusc` or one of `aws-iso`."""
    return str(_session().get_partition_for_region(region))


def is_opt_in(region: str) -> bool:
    """Return whether an account must enable the Region before use."""
    return partition(region) == "aws" and region not in _ENABLED_BY_DEFAULT


def is_opt_in_for_sns(region: str) -> bool:
    """Return whether SNS restricts deliveries between the Region and others.

    SNS's list has the opt-in Regions and Osaka. (SNS developer guide, "different Region".)
    """
    return is_opt_in(region) or region == "ap-northeast-3"


def dns_suffix(region: str) -> str:
    """Return the domain of the endpoints in the Region's partition, such as `amazonaws.com`.

    Names of service principals end in `amazonaws.com` in every partition. (CDK's documentation of `ServicePrincipal`.)
    """
    return _dns_suffixes()[partition(region)]


@lru_cache
def _dns_suffixes() -> dict[str, str]:
    return {each["id"]: each["outputs"]["dnsSuffix"] for each in _session().get_data("partitions")["partitions"]}


def is_isolated(region: str) -> bool:
    """Return whether the Region's partition has no internet, and therefore no ECR Public."""
    return partition(region).startswith("aws-iso")


TABLE_FILE = Path(__file__).with_name("region_table.json")
"""CloudFormation's resource types by Region, written by `tools/region_table.py` from published schemas."""


@lru_cache
def _table() -> Any:
    return json.loads(TABLE_FILE.read_text(encoding="utf-8"))


def table_date() -> str:
    """Return the date of the schemas, `YYYY-MM-DD`."""
    return str(_table()["date"])


def has_schemas(region: str) -> bool:
    """Return whether CloudFormation's schemas of the Region are published. Otherwise its types are not known."""
    return region in _table()["missing"]


def has_resource_type(region: str, resource_type: str) -> bool:
    """Return whether CloudFormation has the type in the Region. True for a Region without published schemas."""
    return resource_type not in _table()["missing"].get(region, ())


FARGATE_ZONES = {
    "us-west-1": ("usw1-az1", "usw1-az3"),
    "ap-northeast-1": ("apne1-az1", "apne1-az2"),
    "cn-north-1": ("cnn1-az1", "cnn1-az2"),
}
"""Two zones with Fargate, by id, in the Regions where Fargate is not in every zone. The letters of zones differ between
accounts, the ids do not. (ECS developer guide, "Supported Regions for Amazon ECS on AWS Fargate".)"""
ARM_BUILDS = frozenset(
    {
        *("ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "eu-central-1", "eu-west-1", "sa-east-1"),
        *("us-east-1", "us-east-2", "us-west-2"),
    }
)
"""Regions in which CodeBuild is documented to build on arm64. (CodeBuild API reference, "Fleet", November 2026.) The
page is about fleets of reserved capacity, and builds on demand could run in more Regions."""
NEW = frozenset({"ap-east-2", "ap-southeast-6", "ap-southeast-7", "ca-west-1", "mx-central-1"})
"""Regions launched after 2023, for which no page was found that has arm64 functions with the newest Python."""
