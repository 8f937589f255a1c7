"""The table `[platform]` of the deployment file: an organisation's settings for all stacks."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import Doc

from stacks.deployment.types import Account, Array, Region, SecurityGroupId, SubnetId, Table, Unique, pattern

_TAG_CHARACTERS = "letters, digits, spaces and _ . : / = + - @"
PolicyName = Annotated[
    str,
    pattern(
        r"([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,128}",
        "must be the name of a managed policy, with its path, not its ARN.",
    ),
    Doc("policy name"),
]
Qualifier = Annotated[
    str, pattern(r"[a-z0-9]{1,10}", "must be 1 to 10 lower-case letters and digits."), Doc("1 to 10 letters and digits")
]
TagValue = Annotated[
    str, pattern(r"[\w .:/=+@-]{0,256}", f"must have at most 256 characters: {_TAG_CHARACTERS}."), Doc("text")
]
BucketPattern = Annotated[
    str,
    pattern(r"([a-z0-9.-]|\{account\}|\{region\}){3,63}", "must be the name of a bucket, with {account} and {region}."),
    Doc("bucket name"),
]


def _check_tag_keys(tags: dict[str, str]) -> dict[str, str]:
    for key in tags:
        if not re.fullmatch(r"[\w .:/=+@-]{1,128}", key):
            raise ValueError(f'has the key "{key}". Use 1 to 128 characters: {_TAG_CHARACTERS}.')
        if key.lower().startswith(("aws:", "coatcheck:")):
            raise ValueError(f'has the key "{key}". Keys that begin with aws: or coatcheck: are reserved.')
    lower = [key.lower() for key in tags]
    for key in tags:
        if lower.count(key.lower()) > 1:  # other services distinguish them
            raise ValueError(f'has the key "{key}" in two spellings, which are one key to IAM. Remove one.')
    return tags


class FunctionNetworkConfig(Table):
    """`[[platform.networks]]`: a network for the functions of all stacks in an account and Region."""

    account: Account
    """The account."""
    region: Region
    """The Region."""
    subnet_ids: Annotated[Array[SubnetId], Unique] = Field(min_length=1, max_length=16)
    """Private subnets. Functions need no inbound traffic. See [functions in a VPC](platform.md#functions-in-a-vpc)."""
    security_group_ids: Annotated[Array[SecurityGroupId], Unique] = Field(min_length=1, max_length=5)
    """Security groups, which allow outbound traffic at port 443."""


class PlatformConfig(Table):
    """`[platform]`: an organisation's settings for all stacks of the deployment."""

    permissions_boundary: PolicyName | None = None
    """Managed policy that is the permissions boundary of every role. It must exist in each account, under this name.
    `deployments/research-boundary.json` is an example for a research environment.
    """
    bootstrap_qualifier: Qualifier | None = None
    """Qualifier of the accounts' CDK bootstrap stacks: `cdk bootstrap --qualifier`. Default: CDK's.
    """
    tags: Annotated[dict[str, TagValue], AfterValidator(_check_tag_keys), Field(max_length=40)] = Field(default={})
    """Tags of all resources, for example for costs: `tags = { cost-centre = "4711" }`."""

    customer_keys: bool = False
    """Each stack has a KMS key for queues, logs, variables of functions, staging bucket and image repository. See
    [customer keys](platform.md#customer-keys).
    """
    access_log_bucket: BucketPattern | None = None
    """Existing bucket for the access logs of each bucket, with `{account}` and `{region}` in its name:
    `access-logs-{account}-{region}`. Its policy must allow S3's log delivery.
    """
    reserved_concurrency: int | None = Field(default=None, ge=1, le=1000)
    """Reserved concurrency of each function. The consume function of a queue reserves its `maximum_concurrency`. Lambda
    requires that 100 of an account's concurrency remain unreserved.
    """
    networks: Array[FunctionNetworkConfig] = ()
    """Networks of functions."""

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # a dictionary has no hash
