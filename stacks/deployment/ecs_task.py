"""The tables `[subscribers.task]` and `[subscribers.network]` of the deployment file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo
from typing_extensions import Doc

from stacks.deployment.regions import dns_suffix, known_regions
from stacks.deployment.types import Array, SecurityGroupId, SubnetId, Table, Unique, VpcId, pattern, resolve_path

DEFAULT_CONTEXT = Path(__file__).parents[2] / "applications" / "ecs_task"
"""Build context of the image that runs by default."""
LIBRARY = "claim_check"
"""Package that is copied into every build context."""

FARGATE_MEMORY: Mapping[int, tuple[range, ...]] = {
    256: (range(512, 513), range(1024, 2049, 1024)),
    512: (range(1024, 4097, 1024),),
    1024: (range(2048, 8193, 1024),),
    2048: (range(4096, 16_385, 1024),),
    4096: (range(8192, 30_721, 1024),),
    8192: (range(16_384, 61_441, 4096),),
    16_384: (range(32_768, 122_881, 8192),),
}
"""Memory in MiB that Fargate offers with each CPU. (ECS developer guide, "Task CPU and memory".)"""


def _check_context(path: str, info: ValidationInfo) -> str:
    folder = resolve_path(path, info)
    if not (folder / "Dockerfile").is_file():
        raise ValueError("does not exist or has no Dockerfile. Paths are relative to the deployment file.")
    if (folder / LIBRARY).exists():
        raise ValueError(f"contains {LIBRARY}, where the library is copied to. Rename or remove it.")
    return str(folder)


_ECR = re.compile(r"[0-9]{12}\.dkr[.-]ecr[a-z-]*\.([a-z0-9-]+)\.(amazonaws\.|on\.a).*")


def _check_address(image: str) -> str:
    """Reject other addresses of an ECR registry: those of IPv6 and FIPS, or of another partition."""
    if found := _ECR.fullmatch(image):
        region = found[1] if found[1] in known_regions() else "us-east-1"
        usual = f"{image[:12]}.dkr.ecr.{region}.{dns_suffix(region)}"
        if not image.startswith(f"{usual}/"):
            raise ValueError(f"must begin with {usual}/: the role's permission to pull comes from the address.")
    return image


Image = Annotated[
    str,
    pattern(
        r"[a-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}",
        "must be an image with its digest, such as public.ecr.aws/example/orders@sha256:… and 64 hexadecimal digits.",
    ),
    AfterValidator(_check_address),
    Doc("image with digest, `name@sha256:…`"),
]
Context = Annotated[str, AfterValidator(_check_context), Doc("path from the deployment file")]


class EcsTaskConfig(Table):
    """`[subscribers.task]`: the ECS task that runs for each message, on Fargate, on arm64."""

    context: Context | None = None
    """Folder with a `Dockerfile` to build in place of the built-in one. The library `claim_check` is copied next to the
    `Dockerfile`.
    """
    image: Image | None = None
    """Existing arm64 image, in place of a build. The task's execution role may pull it from ECR. A repository of
    another account must allow that too.
    """
    command: Array[str] = ()
    """Command of the container. Default: the image's."""
    cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16_384] = 512
    """CPU in units of 1/1024 vCPU."""
    memory_mib: int = Field(default=1024, ge=512, le=122_880)
    """Memory in MiB. Fargate allows two to eight times `cpu`, mostly in steps of 1024."""

    @property
    def folder(self) -> Path | None:
        """The build context, or None for an existing image."""
        if self.image:
            return None
        return Path(self.context) if self.context else DEFAULT_CONTEXT

    @property
    def has_valid_size(self) -> bool:
        """Whether Fargate offers the memory with the CPU."""
        return any(self.memory_mib in sizes for sizes in FARGATE_MEMORY[self.cpu])

    @property
    def memory_choices(self) -> str:
        """The memory that Fargate offers with the CPU, in words."""
        return " or ".join(
            str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} in steps of {sizes.step}"
            for sizes in FARGATE_MEMORY[self.cpu]
        )


class NetworkConfig(Table):
    """`[subscribers.network]`: existing subnets for the task.

    ECS sets the limits. (ECS API reference, "AwsVpcConfiguration".)
    """

    vpc_id: VpcId
    """VPC in the subscriber's account, or shared with it."""
    subnet_ids: Annotated[Array[SubnetId], Unique] = Field(min_length=1, max_length=16)
    """Subnets of the VPC."""
    security_group_ids: Annotated[Array[SecurityGroupId], Unique] = Field(default=(), max_length=5)
    """Security groups of the task. Without any, one is created that allows all outbound and no inbound traffic."""
    assign_public_ip: bool = False
    """A public address for the task, which it needs in public subnets without NAT."""
