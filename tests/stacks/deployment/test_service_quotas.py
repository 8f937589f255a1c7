"""Quotas that a deployment needs."""

from typing import Any

import pytest

from stacks.deployment import Place, parse
from stacks.deployment.service_quotas import INTERFACE_ENDPOINTS, Quota, service_quotas
from stacks.research.network import INTERFACE_ENDPOINTS as ENDPOINTS
from tests.stacks.deployment.samples import BILLING, ORDERS, RESEARCH, RESEARCH_IMAGES, changed


def needs(table: dict[str, Any]) -> dict[tuple[str, str], set[Quota]]:
    found = service_quotas(parse(table))
    return {(place.account, place.region): set(quotas) for place, quotas in found.items()}


def test_every_allowed_type_has_its_quota() -> None:
    research = parse(RESEARCH).research
    assert research
    (found,) = needs(RESEARCH).values()
    minimums = {quota.name: quota.minimum for quota in found}
    for instance_type in research.instance_types:
        for app in ("JupyterLab", "CodeEditor"):
            assert minimums[f"Studio {app} Apps running on {instance_type} instances"] == 2
    for instance_type in research.job_instance_types:
        assert minimums[f"{instance_type} for processing job usage"] == 1
    assert Quota("sagemaker", "Maximum number of Studio spaces allowed per account", 3, 4) in found  # one is shared
    assert Quota("sagemaker", "Studio JupyterLab Apps running on ml.r5.4xlarge instances", 2, 0) in found
    assert Quota("vpc", "Interface VPC endpoints per VPC", 8, 50) in found
    (found,) = needs(RESEARCH_IMAGES).values()
    assert Quota("sagemaker", "ml.t3.medium for notebook instance usage", 1) in found
    assert len(ENDPOINTS) == INTERFACE_ENDPOINTS


def test_default_of_every_default_type_is_known() -> None:
    (found,) = needs(RESEARCH).values()
    assert [quota for quota in found if quota.default is None] == []


def test_endpoints_are_needed_in_a_created_vpc_alone() -> None:
    for changes in (
        {"network": "internet"},
        {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]},
    ):
        (found,) = needs({**RESEARCH, "research": RESEARCH["research"] | changes}).values()
        assert "Interface VPC endpoints per VPC" not in {quota.name for quota in found}


def test_needs_of_one_place_are_added_up() -> None:
    two = [BILLING | {"maximum_concurrency": 5}, BILLING | {"name": "audit", "task": {"cpu": 1024, "memory_mib": 2048}}]
    found = needs(changed("subscribers", to=[ORDERS, *two]))
    assert Quota("lambda", "Concurrent executions", 10, 1000) in found["222222222222", "us-west-2"]
    assert Quota("lambda", "Concurrent executions", 1, 1000) in found["111111111111", "us-east-1"]
    assert found["333333333333", "us-east-1"] == {
        Quota("lambda", "Concurrent executions", 106, 1000),
        Quota("fargate", "Fargate On-Demand vCPU resource count", 1.5, 6),
        Quota("codebuild", "Concurrently running builds for ARM/Medium environment", 2, 1),
        Quota("vpc", "VPCs per Region", 2, 5),
        Quota("vpc", "Internet gateways per Region", 2, 5),
    }


def test_existing_image_and_network_need_no_quota() -> None:
    image = f"public.ecr.aws/example/billing@sha256:{'0' * 64}"
    network = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0"]}
    table = changed("subscribers", to=[BILLING | {"task": {"image": image}, "network": network}])
    found = service_quotas(parse(table))[Place("333333333333", "us-east-1")]
    assert {quota.service for quota in found} == {"lambda", "fargate"}


@pytest.mark.parametrize(
    ("application", "services"),
    [("queue", set()), ("state_machine", {"lambda"}), ("ecs_task", {"lambda", "fargate", "codebuild", "vpc"})],
)
def test_application_decides_the_quotas(application: str, services: set[str]) -> None:
    found = needs(changed("subscribers", to=[ORDERS | {"application": application}]))
    assert {quota.service for quota in found.get(("222222222222", "us-west-2"), ())} == services
