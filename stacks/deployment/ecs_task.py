"""Tables of the deployment file about the ECS task behind a subscriber of kind `lambda`: what runs, and where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from stacks.deployment.types import NamedOnce, SecurityGroupId, SubnetId, Table, VpcId, from_folder, matches

OURS = Path(__file__).parents[2] / "applications" / "ecs_task"
"""The build context of the image that runs unless the file says otherwise."""
LIBRARY = "claim_check"
"""The package that is put into every build context."""

_Sizes = tuple[range, ...]
SIZES: Mapping[int, _Sizes] = {
    256: (range(512, 513), range(1024, 2049, 1024)),
    512: (range(1024, 4097, 1024),),
    1024: (range(2048, 8193, 1024),),
    2048: (range(4096, 16_385, 1024),),
    4096: (range(8192, 30_721, 1024),),
    8192: (range(16_384, 61_441, 4096),),
    16_384: (range(32_768, 122_881, 8192),),
}
"""What memory, in MiB, Fargate gives with what CPU, in 1/1024 of a processor. (ECS developer guide, "Task CPU and
memory".)"""


def _with_dockerfile(path: str, info: ValidationInfo) -> str:
    folder = from_folder(path, info)
    if not (folder / "Dockerfile").is_file():
        raise ValueError("is no folder with a Dockerfile; its path begins at the deployment file's folder")
    if (folder / LIBRARY).exists():
        raise ValueError(f"has a {LIBRARY} of its own, and the library is put there; take it out, or rename it")
    return str(folder)


ImageConfig = Annotated[
    str,
    matches(
        r"[a-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}",
        "must be an image with its digest, such as public.ecr.aws/example/orders@sha256:… and 64 hex digits; a tag can "
        "be moved",
    ),
]
Context = Annotated[str, AfterValidator(_with_dockerfile)]


class EcsTaskConfig(Table):
    """`[subscribers.task]`: what runs with each message, on Fargate, on arm64."""

    image: ImageConfig | None = None
    """An image that is there, to be run as it is."""
    context: Context | None = None
    """A folder with a Dockerfile to build instead of ours."""
    command: tuple[str, ...] = Field(default=(), strict=False)
    """What runs in the container; what the image says, when empty."""
    cpu: Literal[256, 512, 1024, 2048, 4096, 8192, 16_384] = 512
    """In 1/1024 of a processor."""
    memory_mib: int = Field(default=1024, ge=512, le=122_880)

    @property
    def folder(self) -> Path | None:
        """The build context; without one, nothing is built."""
        return None if self.image else Path(self.context) if self.context else OURS

    @property
    def is_a_size_of_fargate(self) -> bool:
        return any(self.memory_mib in sizes for sizes in SIZES[self.cpu])

    @property
    def sizes(self) -> str:
        """The memory that goes with the CPU, in words."""
        return " or ".join(
            str(each[0]) if len(each) == 1 else f"{each[0]} to {each[-1]} in steps of {each.step}"
            for each in SIZES[self.cpu]
        )


class NetworkConfig(Table):
    """`[subscribers.network]`: subnets that are there, for the task to run in. (What ECS takes of each: ECS API
    reference, "AwsVpcConfiguration".)"""

    vpc_id: VpcId
    subnet_ids: Annotated[tuple[SubnetId, ...], NamedOnce] = Field(strict=False, min_length=1, max_length=16)
    security_group_ids: Annotated[tuple[SecurityGroupId, ...], NamedOnce] = Field(
        default=(), strict=False, max_length=5
    )
    """Those of the task; one that lets everything out and nothing in is made, when there are none."""
    assign_public_ip: bool = False
    """In a public subnet without NAT: the task's way out."""
