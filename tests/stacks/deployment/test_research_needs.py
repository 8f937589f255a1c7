"""Quotas and costs of a research environment."""

from typing import Any

import pytest

from stacks.deployment.research import ResearchConfig
from stacks.deployment.research_needs import INTERFACE_ENDPOINTS, Quota, costs, quotas, report
from stacks.research.network import INTERFACE_ENDPOINTS as ENDPOINTS
from tests.stacks.deployment.samples import RESEARCH, RESEARCH_IMAGES


def config(table: dict[str, Any] = RESEARCH, **changes: Any) -> ResearchConfig:
    return ResearchConfig.model_validate(table["research"] | changes)


def test_every_allowed_type_has_its_quota() -> None:
    research = config()
    found = set(quotas(research))
    for instance_type in research.instance_types:
        for app in ("JupyterLab", "CodeEditor"):
            assert Quota("SageMaker", f"Studio {app} Apps running on {instance_type} instances", 2) in found
    for instance_type in research.job_instance_types:
        assert Quota("SageMaker", f"{instance_type} for processing job usage", 1) in found
    assert Quota("VPC", "Interface VPC endpoints per VPC", 8) in found
    assert Quota("SageMaker", "ml.t3.medium for notebook instance usage", 1) in set(quotas(config(RESEARCH_IMAGES)))


@pytest.mark.parametrize(
    ("changes", "usd"),
    [
        ({}, 116.8 + 1),
        ({"availability_zones": ["us-east-1a", "us-east-1b", "us-east-1c"]}, 175.2 + 1),
        ({"network": "internet"}, 1),
        ({"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}, 1),
    ],
)
def test_costs_without_use_are_those_of_endpoints_and_key(changes: dict[str, Any], usd: float) -> None:
    research = config(**changes)
    assert sum(cost.usd for cost in costs(research)) == pytest.approx(usd)
    assert f"{usd:.2f} USD  in total" in report(research)
    assert len(ENDPOINTS) == INTERFACE_ENDPOINTS
