"""`[platform]`: invalid values."""

import pytest

from stacks.deployment import parse
from tests.stacks.deployment.samples import RESEARCH, changed, problems

NETWORK = {
    "account": "111111111111",
    "region": "us-east-1",
    "subnet_ids": ["subnet-0123456789abcdef0"],
    "security_group_ids": ["sg-0123456789abcdef0"],
}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"permissions_boundary": "arn:aws:iam::111111111111:policy/boundary"},
            'platform.permissions_boundary = "arn:aws:iam::111111111111:policy/boundary": must be the name of a',
        ),
        ({"bootstrap_qualifier": "A"}, 'platform.bootstrap_qualifier = "A": must be 1 to 10 lower-case'),
        ({"tags": {"aws:x": "y"}}, 'platform.tags = { "aws:x" = "y" }: has the key "aws:x". Keys that begin with'),
        ({"tags": {"Coatcheck:x": "y"}}, "Keys that begin with aws: or coatcheck: are reserved."),
        ({"tags": {"a;b": "y"}}, 'has the key "a;b". Use 1 to 128 characters'),
        ({"tags": {"a": "b" * 257}}, "must have at most 256 characters"),
        ({"tags": {str(n): "" for n in range(41)}}, "must have 40 or fewer members"),
        ({"tags": {"Team": "a", "team": "b"}}, 'has the key "Team" in two spellings, which are one key to IAM. Remove'),
        ({"permissions_boundary": "gränze"}, "must be the name of a managed policy, with its path, not its ARN."),
        ({"access_log_bucket": "-{account}-{region}"}, 'makes "-111111111111-us-east-1", which is not the name of a'),
        ({"access_log_bucket": f"{'l' * 50}{{account}}{{region}}"}, "which is not the name of a bucket. Use 3 to 63"),
        (
            {"access_log_bucket": "logs-{account}"},
            'platform.access_log_bucket = "logs-{account}": is one bucket for 222222222222 us-east-1, 222222222222 '
            "us-west-2, and S3 writes access logs in one account and Region only. Add {account} and {region}.",
        ),
        ({"networks": [NETWORK, NETWORK]}, '[1].account = "111111111111": is also the account of platform.networks[0]'),
        ({"networks": [NETWORK | {"region": "eu-west-1"}]}, "no function of the deployment is there, in eu-west-1."),
    ],
)
def test_invalid_platform_is_rejected(keys: dict[str, object], expected: str) -> None:
    table = changed("subscribers", 1, "account", to="222222222222")
    lines = problems(changed("platform", to=keys, table=table))
    assert [line for line in lines if expected in line], lines


@pytest.mark.parametrize(
    "keys",
    [
        {"access_log_bucket": "logs-{account}-{region}", "networks": [NETWORK]},
        {"access_log_bucket": "{region}.{account}", "permissions_boundary": "path/to/boundary"},
    ],
)
def test_platform_of_several_places_is_accepted(keys: dict[str, object]) -> None:
    parse(changed("platform", to=keys))


def test_network_of_research_functions_is_accepted() -> None:
    network = NETWORK | {"account": RESEARCH["research"]["account"], "region": RESEARCH["research"]["region"]}
    parse(changed("platform", to={"networks": [network], "access_log_bucket": "logs"}, table=RESEARCH))
