"""Partitions and Regions of AWS, from the data in botocore."""

from functools import lru_cache

from botocore.session import Session

PARTITIONS = ("aws", "aws-cn", "aws-us-gov")

# Regions launched before 20 March 2019, and Regions of the other partitions that are enabled by default. Later Regions
# are opt-in, so a Region that is not in this list is treated as opt-in.
_ENABLED_BY_DEFAULT = frozenset(
    {
        *("ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
        *("ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
        *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
        *("cn-north-1", "cn-northwest-1", "us-gov-east-1", "us-gov-west-1"),
    }
)


@lru_cache
def _session() -> Session:
    # Without the user's AWS profile: synthesis needs no credentials.
    return Session(session_vars={"profile": (None, None, None, None)})


@lru_cache
def known_regions() -> frozenset[str]:
    """Return the Regions that have SNS, of all three partitions."""
    return frozenset(
        region for partition in PARTITIONS for region in _session().get_available_regions("sns", partition)
    )


def partition(region: str) -> str:
    """Return the Region's partition: `aws`, `aws-cn` or `aws-us-gov`."""
    return str(_session().get_partition_for_region(region))


def is_opt_in(region: str) -> bool:
    """Return whether an account must enable the Region before use."""
    return region not in _ENABLED_BY_DEFAULT


def is_opt_in_for_sns(region: str) -> bool:
    """Return whether SNS restricts deliveries between the Region and others.

    SNS's list has the opt-in Regions and Osaka. (SNS developer guide, "different Region".)
    """
    return is_opt_in(region) or region == "ap-northeast-3"


def dns_suffix(region: str) -> str:
    """Return the domain of the Region's endpoints: `amazonaws.com`, in China `amazonaws.com.cn`."""
    return "amazonaws.com.cn" if partition(region) == "aws-cn" else "amazonaws.com"


_LACKING = {
    "AWS::Budgets::Budget": frozenset(
        {
            *("af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-3", "ap-south-2", "ap-southeast-3"),
            *("ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7", "ca-west-1", "eu-central-2"),
            *("eu-north-1", "eu-south-1", "eu-south-2", "il-central-1", "me-central-1", "mx-central-1"),
            *("us-gov-east-1", "us-gov-west-1"),
        }
    ),
    "AWS::CodeBuild::Project": frozenset({"ap-east-2", "ca-west-1", "mx-central-1"}),
    "AWS::SageMaker::AppImageConfig": frozenset({"ap-south-2", "ap-southeast-4", "ca-west-1", "mx-central-1"}),
    "AWS::SageMaker::Domain": frozenset({"ca-west-1", "mx-central-1"}),
    "AWS::SageMaker::NotebookInstance": frozenset({"me-central-1", "us-gov-east-1"}),
    "AWS::SageMaker::Space": frozenset(
        {
            *("ap-south-2", "ap-southeast-4", "ca-west-1", "cn-north-1", "cn-northwest-1", "mx-central-1"),
            *("us-gov-east-1", "us-gov-west-1"),
        }
    ),
    "AWS::SageMaker::UserProfile": frozenset({"ap-south-2", "ap-southeast-4", "ca-west-1", "mx-central-1"}),
}
"""Regions without a resource type of the research stack, by CloudFormation's schemas."""


def has_resource_type(region: str, resource_type: str) -> bool:
    """Return whether CloudFormation has the type in the Region. True for a type that all Regions have."""
    if resource_type == "AWS::IdentityStore::User":
        return region == "us-east-1"
    return region not in _LACKING.get(resource_type, ())
