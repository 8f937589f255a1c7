"""Facts about AWS Regions that names and policies depend on. No AWS call: botocore ships the data."""

from functools import lru_cache

from botocore.session import Session

PARTITIONS = ("aws", "aws-cn", "aws-us-gov")

# The Regions that were there before AWS made new ones opt-in (20 March 2019), and those that need no opting in inside
# their partition. The list is closed: every Region launched since is opt-in, so an unknown one is treated as such.
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
    # Whatever profile the user has set stays out of it: synth needs no credentials.
    return Session(session_vars={"profile": (None, None, None, None)})


@lru_cache
def known_regions() -> frozenset[str]:
    """Every Region, of the three partitions, that has SNS."""
    return frozenset(
        region for partition in PARTITIONS for region in _session().get_available_regions("sns", partition)
    )


def partition(region: str) -> str:
    """`aws`, `aws-cn` or `aws-us-gov`."""
    return str(_session().get_partition_for_region(region))


def is_opt_in(region: str) -> bool:
    """Whether an account has to enable the Region before it can be used."""
    return region not in _ENABLED_BY_DEFAULT


def dns_suffix(region: str) -> str:
    """What the names of the Region's endpoints end with: `amazonaws.com`, in China `amazonaws.com.cn`."""
    return "amazonaws.com.cn" if partition(region) == "aws-cn" else "amazonaws.com"
