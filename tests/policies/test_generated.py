"""Any deployment, not just the example: from one subscriber to twenty, of every kind, in any account and Region."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stacks.deployment import Deployment, parse_messaging
from stacks.deployment.regions import is_opt_in, partition
from tests.policies import matrix
from tests.policies.rows import disagreements
from tests.policies.simulator import Simulator
from tests.policies.verdict import Judged, counterexamples, judged, unaccounted
from tests.policies.verdict import settings as wrong_settings
from tests.templates import synthesize

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
        where = draw(st.sampled_from(regions))
        # What AWS does not do, the deployment file refuses: see tests/stacks/test_deployment.py.
        takes_function = not fifo and (where == region or not is_opt_in(where))
        kinds = ["sqs", *(["lambda"] if takes_function else []), *([] if fifo else ["https"])]
        home, kind = draw(st.sampled_from(ACCOUNTS)), draw(st.sampled_from(kinds))
        more = {"endpoint": f"https://{index}.example/in", "reader_principals": draw(_roles_of(home, region))}
        subscribers.append(
            {"name": f"team-s{index}", "kind": kind, "account": home, "region": where}
            | (more if kind == "https" else {})
            | (draw(_behind_queues()) if kind == "sqs" else {})
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
            "replicas": draw(st.sampled_from([[], sorted({each["region"] for each in subscribers} - {region})])),
            "fifo": fifo,
            "detail_types": draw(st.sampled_from([[], ["order.placed"], ["order.placed", "Order cancelled"]])),
        },
        organization=draw(st.sampled_from([None, "o-a1b2c3d4e5"])),
        ephemeral=draw(st.booleans()),
    )


def _behind_queues() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from([{}, {"landing": {}}])


def _networks() -> st.SearchStrategy[dict[str, Any]]:
    there = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}
    return st.sampled_from([there, there | {"security_group_ids": ["sg-0123456789abcdef0"], "assign_public_ip": True}])


def _roles_of(account: str, region: str) -> st.SearchStrategy[list[str]]:
    role = f"arn:{partition(region)}:iam::{account}:role/web"
    return st.sampled_from([[], [role], [role, f"{role}/server"]])


def _deployment(subscribers: list[dict[str, Any]], **table: Any) -> Deployment:
    given = {key: value for key, value in table.items() if value is not None}
    return parse_messaging({"name": "big-coat", **given, "subscribers": subscribers})


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
ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _judged(deployment: Deployment) -> Judged:
    case = judged(deployment, synthesize(deployment))
    assert not unaccounted(case)
    assert not wrong_settings(case)
    return case


@settings(ANY_TIME, max_examples=4)
@example(deployment=TWENTY)
@given(deployment=deployments(most=20))
def test_proof(deployment: Deployment) -> None:
    found = list(counterexamples(_judged(deployment)))
    assert not found, "\n\n".join(map(str, found))


@pytest.mark.exhaustive
@settings(ANY_TIME, max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(deployment=deployments(most=2))
def test_matrix(deployment: Deployment, simulator: Simulator) -> None:
    case = _judged(deployment)
    rows = list(matrix.rows(case.deployment, case.found, case.intent))
    found = disagreements(rows, simulator)
    assert not found, "\n".join(map(str, found[:10]))
