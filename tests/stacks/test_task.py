"""The ECS task behind a subscriber of kind `lambda`: its image, size and network, and what of them is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks.deployment import Deployment, DeploymentError, parse_messaging

DIGEST = "sha256:" + "0123456789abcdef" * 4
IN_ECR = f"777777777777.dkr.ecr.eu-west-1.amazonaws.com/teams/orders@{DIGEST}"
Change = Callable[..., Deployment]


@pytest.fixture
def with_keys(example: Deployment, tmp_path: Path) -> Change:
    def change(**keys: Any) -> Deployment:
        table = json.loads(example.model_dump_json(exclude_none=True))
        table["subscribers"][1] |= keys
        return parse_messaging(table, tmp_path / "deployment.toml")

    return change


@pytest.fixture
def with_task(with_keys: Change) -> Change:
    return lambda **task: with_keys(task=task)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"image": "example/orders:latest"}, "must be an image with its digest"),
        ({"context": "nowhere"}, "is no folder with a Dockerfile; its path begins at the deployment file's folder"),
        ({"context": "crowded"}, "has a claim_check of its own"),
        ({"cpu": 300}, "must be 256, 512, 1024, 2048, 4096, 8192 or 16384"),
        ({"cpu": 256, "memory_mib": 4096}, "with cpu = 256, Fargate has 512 or 1024 to 2048 in steps of 1024"),
        ({"memory_mib": 1536}, "with cpu = 512, Fargate has 1024 to 4096 in steps of 1024"),
        ({"memory": 1024}, "did you mean memory_mib?"),
    ],
)
def test_what_cannot_run_is_refused_by_its_key(
    with_task: Change, tmp_path: Path, task: dict[str, Any], said: str
) -> None:
    (tmp_path / "crowded" / "claim_check").mkdir(parents=True)
    (tmp_path / "crowded" / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(DeploymentError) as refused:
        with_task(**task)
    (problem,) = refused.value.problems
    assert problem.startswith("subscribers[1].task.")
    assert said in problem


def test_an_image_and_a_folder_to_build_one_are_too_many(with_task: Change, tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(DeploymentError, match="take the one out or the other"):
        with_task(image=IN_ECR, context="orders")


NETWORK = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]}
GROUPS = ["sg-0123456789abcdef0", "sg-0123456789abcdef1"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vpc_id": "my-vpc"}, "must be the id of a VPC, such as vpc-0123456789abcdef0"),
        ({"subnet_ids": ["10.0.0.0/24"]}, "must be the id of a subnet, such as subnet-0123456789abcdef0"),
        ({"subnet_ids": []}, "must have 1 at least"),
        ({"subnet_ids": ["subnet-0123456789abcdef0"] * 2}, "has one of them twice; name each once"),
        ({"security_group_ids": ["default"]}, "must be the id of a security group, such as sg-0123456789abcdef0"),
        ({"security_group_ids": [f"sg-0123456{n}" for n in range(6)]}, "has 6 members; must have 5 at most"),
        ({"assign_public_ip": "ENABLED"}, "must be a valid boolean"),
        ({"subnets": ["subnet-0123456789abcdef0"]}, "did you mean subnet_ids?"),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_its_key(with_keys: Change, change: dict[str, Any], said: str) -> None:
    with pytest.raises(DeploymentError) as refused:
        with_keys(network=NETWORK | change)
    (problem,) = refused.value.problems
    assert problem.startswith(f"subscribers[1].network.{next(iter(change))}")
    assert said in problem


def test_a_network_is_named_whole(with_keys: Change) -> None:
    with pytest.raises(DeploymentError) as refused:
        with_keys(network={"security_group_ids": GROUPS})
    assert refused.value.problems == [
        "subscribers[1].network.vpc_id: is missing",
        "subscribers[1].network.subnet_ids: is missing",
    ]


def test_a_queues_subscriber_has_no_task_to_place(example: Deployment) -> None:
    table = json.loads(example.model_dump_json(exclude_none=True))
    table["subscribers"][0]["network"] = NETWORK
    with pytest.raises(DeploymentError, match='is a key of kind = "lambda" only'):
        parse_messaging(table)


@pytest.mark.parametrize("number", [0, 10_001])
def test_a_function_that_may_never_run_is_refused(with_keys: Change, number: int) -> None:
    with pytest.raises(DeploymentError, match=rf"subscribers\[1\].maximum_concurrency = {number}: must be"):
        with_keys(maximum_concurrency=number)


def test_a_key_written_after_a_table_of_its_subscriber_is_told_where_it_belongs(with_keys: Change) -> None:
    with pytest.raises(DeploymentError) as refused:
        with_keys(network=NETWORK | {"maximum_concurrency": 50})
    (problem,) = refused.value.problems
    assert "network.maximum_concurrency = 50: is not a key here; it belongs in " in problem
