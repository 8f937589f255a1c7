"""The policies of generated deployments: up to 20 subscribers of every kind, in any account, Region and partition."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stacks.deployment import Deployment, parse_messaging
from stacks.deployment.regions import is_opt_in, partition
from tests.policies import matrix
from tests.policies.checks import assert_as_intended, read_case
from tests.policies.rows import disagreements
from tests.policies.simulator import Simulator

ACCOUNTS = [str(digit) * 12 for digit in range(1, 7)]
REGIONS = {
    "aws": ["us-east-1", "us-west-2", "eu-central-1", "ap-east-1", "me-south-1"],
    "aws-cn": ["cn-north-1", "cn-northwest-1"],
    "aws-us-gov": ["us-gov-west-1", "us-gov-east-1"],
}


@st.composite
def deployments(draw: st.DrawFn, most: int) -> Deployment:
    regions = REGIONS[draw(st.sampled_from(["aws", "aws", "aws", "aws-cn", "aws-us-gov"]))]
    account, region = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(regions))
    fifo = draw(st.booleans())
    subscribers: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, most))):
        own_region = draw(st.sampled_from(regions))
        # The deployment file rejects functions where SNS does not invoke them: tests/stacks/deployment/test_checks.py.
        function_possible = not fifo and (own_region == region or not is_opt_in(own_region))
        kinds = ["sqs", *(["lambda"] if function_possible else []), *([] if fifo else ["https"])]
        home, kind = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(kinds))
        https = {"endpoint": f"https://{index}.example/in", "reader_principals": draw(_roles_of(home, region))}
        subscribers.append(
            {"name": f"team-s{index}", "kind": kind, "account": home, "region": own_region}
            | (https if kind == "https" else {})
            | (draw(st.sampled_from([{}, {"landing": {}}])) if kind == "sqs" else {})
            | ({"network": draw(_networks())} if kind == "lambda" and draw(st.booleans()) else {})
        )
    senders = [
        {"name": f"team-t{index}", "account": draw(st.sampled_from(ACCOUNTS)), "region": draw(st.sampled_from(regions))}
        for index in range(draw(st.integers(0, 3)))
    ]
    return _deployment(
        subscribers,
        senders=senders,
        publisher={
            "account": account,
            "region": region,
            "replicas": draw(st.sampled_from([[], sorted({table["region"] for table in subscribers} - {region})])),
            "fifo": fifo,
            "detail_types": draw(st.sampled_from([[], ["order.placed"], ["order.placed", "Order cancelled"]])),
        },
        organization=draw(st.sampled_from([None, "o-a1b2c3d4e5"])),
        ephemeral=draw(st.booleans()),
    )


def _networks() -> st.SearchStrategy[dict[str, Any]]:
    network = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}
    return st.sampled_from(
        [network, network | {"security_group_ids": ["sg-0123456789abcdef0"], "assign_public_ip": True}]
    )


def _roles_of(account: str, region: str) -> st.SearchStrategy[list[str]]:
    role = f"arn:{partition(region)}:iam::{account}:role/web"
    return st.sampled_from([[], [role], [role, f"{role}/server"]])


def _deployment(subscribers: list[dict[str, Any]], **table: Any) -> Deployment:
    values = {key: value for key, value in table.items() if value is not None}
    return parse_messaging({"name": "big-coat", **values, "subscribers": subscribers})


TWENTY = _deployment(
    [
        {
            "name": f"s{index}",
            "kind": ("sqs", "lambda")[index % 2],
            "account": ACCOUNTS[index % 6],
            "region": REGIONS["aws"][index % 3],
        }
        for index in range(20)
    ],
    publisher={"account": ACCOUNTS[0], "region": "us-east-1"},
    senders=[{"name": f"t{index}", "account": account} for index, account in enumerate(ACCOUNTS[:3])],
    organization="o-a1b2c3d4e5",
)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(SLOW, max_examples=3)
@given(deployment=deployments(most=4))
def test_policies_are_as_intended(deployment: Deployment) -> None:
    assert_as_intended(read_case(deployment))


@pytest.mark.exhaustive
@settings(SLOW, max_examples=4)
@example(deployment=TWENTY)
@given(deployment=deployments(most=20))
def test_policies_of_many_subscribers_are_as_intended(deployment: Deployment) -> None:
    assert_as_intended(read_case(deployment))


@pytest.mark.exhaustive
@settings(SLOW, max_examples=3)
@given(deployment=deployments(most=2))
def test_matrix_agrees_with_intent(deployment: Deployment, simulator: Simulator) -> None:
    case = read_case(deployment)
    rows = list(matrix.rows(case.deployment, case.inventory, case.intent))
    found = disagreements(rows, simulator)
    assert not found, "\n".join(map(str, found[:10]))
