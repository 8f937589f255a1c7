"""`[subscribers.task]` and `[subscribers.network]`: invalid values."""

from pathlib import Path
from typing import Any

import pytest

from tests.stacks.deployment.samples import billing, problem, problems

IMAGE = f"777777777777.dkr.ecr.eu-west-1.amazonaws.com/teams/orders@sha256:{'0123456789abcdef' * 4}"
NETWORK = {"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]}


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ({"image": "example/orders:latest"}, "must be an image with its digest"),
        (
            {"image": IMAGE.replace(".ecr.", ".ecr-fips.")},
            "must begin with 777777777777.dkr.ecr.eu-west-1.amazonaws.com/:",
        ),
        (
            {"image": IMAGE.replace("dkr.ecr", "dkr-ecr").replace("amazonaws.com", "on.aws")},
            "must begin with 777777777777",
        ),
        (
            {"image": IMAGE.replace("eu-west-1", "cn-north-1")},
            "must begin with 777777777777.dkr.ecr.cn-north-1.amazonaws",
        ),
        (
            {"image": IMAGE.replace("eu-west-1", "eu-west-9")},
            "must begin with 777777777777.dkr.ecr.us-east-1.amazonaws",
        ),
        ({"command": ["x" * 50_001]}, "has 50001 characters. Use at most 50000: ECS limits a task definition."),
        ({"context": "nowhere"}, "does not exist or has no Dockerfile. Paths are relative to the deployment file."),
        ({"context": "crowded"}, "contains claim_check, where the library is copied to. Rename or remove it."),
        ({"context": "orders", "image": IMAGE}, "applies only without image. Remove context or image."),
        ({"cpu": 300}, "must be 256, 512, 1024, 2048, 4096, 8192 or 16384"),
        ({"memory": 1024}, "Rename it to memory_mib, or remove it."),
    ],
)
def test_invalid_task_is_reported_with_key(tmp_path: Path, task: dict[str, Any], expected: str) -> None:
    (tmp_path / "crowded" / "claim_check").mkdir(parents=True)
    (tmp_path / "orders").mkdir()
    for folder in ("crowded", "orders"):
        (tmp_path / folder / "Dockerfile").write_text("FROM scratch\n")
    line = problem(billing(task=task), tmp_path / "deployment.toml")
    assert line.startswith(f"subscribers[1].task.{next(iter(task))}")
    assert expected in line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"vpc_id": "my-vpc"}, "must be a VPC id, such as vpc-0123456789abcdef0."),
        ({"subnet_ids": ["10.0.0.0/24"]}, "must be a subnet id, such as subnet-0123456789abcdef0."),
        ({"subnet_ids": []}, "must have 1 or more members."),
        ({"subnet_ids": ["subnet-0123456789abcdef0"] * 2}, 'contains "subnet-0123456789abcdef0" twice.'),
        ({"security_group_ids": ["default"]}, "must be a security group id, such as sg-0123456789abcdef0."),
        ({"security_group_ids": [f"sg-0123456{n}" for n in range(6)]}, "must have 5 or fewer members."),
        ({"assign_public_ip": "ENABLED"}, "must be true or false."),
        ({"subnets": ["subnet-0123456789abcdef0"]}, "Rename it to subnet_ids, or remove it."),
    ],
)
def test_invalid_network_is_reported_with_key(change: dict[str, Any], expected: str) -> None:
    line = problem(billing(network=NETWORK | change))
    assert line.startswith(f"subscribers[1].network.{next(iter(change))}")
    assert expected in line


def test_network_needs_vpc_and_subnets() -> None:
    assert problems(billing(network={"security_group_ids": ["sg-0123456789abcdef0"]})) == [
        "subscribers[1].network.vpc_id: is missing. Add it.",
        "subscribers[1].network.subnet_ids: is missing. Add it.",
    ]
