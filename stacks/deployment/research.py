"""`[research]`: the part of the deployment file that describes the research environment.

`problems(research)` finds what each value allows alone and SageMaker, or another value, does not allow together.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from stacks.deployment.types import Account, Email, Name, Region, SubnetId, Table, VpcId, matches

ROOT = Path(__file__).parents[2]
"""The project's folder, from which an image's context is named."""

App = Literal["JupyterLab", "CodeEditor", "KernelGateway"]
TARGETS: dict[App, str] = {"JupyterLab": "studio", "CodeEditor": "code-editor", "KernelGateway": "kernel"}
"""The stage of an image's Dockerfile that each app runs."""
PROCESSING_TARGET = "processing"
"""The stage that processing jobs run."""

InstanceArn = Annotated[
    str,
    matches(
        r"arn:aws[a-z-]*:sso:::instance/(sso)?ins-[a-zA-Z0-9-.]{16}",
        "must be the ARN of an IAM Identity Center instance, such as arn:aws:sso:::instance/ssoins-1234567890abcdef",
    ),
]
IdentityStoreId = Annotated[
    str, matches(r"d-[0-9a-f]{10}|[0-9a-f-]{36}", "must be an identity store's id, such as d-1234567890")
]
PrincipalId = Annotated[
    str,
    matches(
        r"([0-9a-f]{10}-)?[A-Fa-f0-9]{8}(-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}",
        "must be the id that Identity Center shows for the user or group, such as 1234567890-01234567-89ab-…",
    ),
]
UserName = Annotated[
    str, matches(r"[A-Za-z0-9][\w+=,.@-]{0,126}", "must be a user name: letters, digits and any of + = , . @ - _")
]
PolicyArn = Annotated[
    str, matches(r"arn:aws[a-z-]*:iam::[0-9]{12}:policy/.+", "must be the ARN of a managed policy of the account")
]
BucketName = Annotated[str, matches(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "must be the name of an S3 bucket")]

Schedule = Annotated[
    str,
    matches(
        r"rate\([1-9][0-9]* (minute|hour|day)s?\)|cron\(\S+( \S+){5}\)",
        "must be rate(1 day) and the like, or cron(minutes hours day-of-month month day-of-week year)",
    ),
]
QC_PARAMETERS: dict[str, int | float | str] = {
    "sample": "none",
    "transpose": "no",
    "min_genes": 500,
    "max_genes": 6000,
    "min_umis": "none",
    "max_umis": "none",
    "mito_prefix": "MT-",
    "percent_mito": 10.0,
}
"""What research/jobs/qc_metrics.py takes, with its own defaults."""

ImageName = Annotated[
    str,
    matches(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", "must be lower-case words and numbers joined by hyphens, a word first"),
]


class IdentityCenterConfig(Table):
    """`[research.identity_center]`: where researchers sign on. In the domain's own Region: SageMaker asks for that."""

    instance_arn: InstanceArn
    identity_store_id: IdentityStoreId


class UserConfig(Table):
    """`[[research.users]]`: a researcher with a profile, and so a role and a private prefix, of their own."""

    name: UserName
    """As in Identity Center. Names the profile too, with a hyphen for whatever a profile's name cannot have."""
    principal_id: PrincipalId | None = None
    """The user's id in Identity Center. Without it the user is created, in a directory of Identity Center's own."""
    given_name: str | None = None
    family_name: str | None = None
    email: Email | None = None

    @property
    def profile(self) -> str:
        """The name of the user's profile in the domain, and of the user's prefix in the data bucket."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-").lower()


class GroupConfig(Table):
    """`[[research.groups]]`: everybody in it may sign on; a profile is made for them when they first do."""

    name: Annotated[str, Field(min_length=1, max_length=1024)]
    principal_id: PrincipalId | None = None
    """The group's id in Identity Center. Without it the group is created."""
    members: tuple[UserName, ...] = Field(default=(), strict=False)
    """Users of this file that the deployment puts into the group."""


class SpaceConfig(Table):
    """`[[research.spaces]]`: a space that several researchers share. Private ones they make themselves."""

    name: Name
    owner: UserName
    volume_gb: int = Field(default=20, ge=5, le=16_384)


class ImageConfig(Table):
    """`[[research.images]]`: a folder with a Dockerfile, built in the account and attached to the domain."""

    name: ImageName
    display_name: Annotated[str, Field(min_length=1, max_length=128)]
    context: str
    """The folder, from the project's own or absolute."""
    dockerfile: str = "Dockerfile"
    base: str | None = None
    """The image that the Dockerfile begins with, in place of the one it names itself: its build argument BASE."""
    apps: tuple[App, ...] = Field(default=("JupyterLab",), strict=False, min_length=1)
    processing: bool = False
    """Build the stage for processing jobs too."""
    kernel: str = "python3"
    """With KernelGateway: the kernel's name."""
    mount_path: str = "/root"
    """With KernelGateway: where the researcher's home is mounted."""
    uid: Literal[0, 1000] = 0
    gid: Literal[0, 100] = 0

    @property
    def folder(self) -> Path:
        """The build context."""
        return ROOT / self.context

    @property
    def targets(self) -> tuple[str, ...]:
        """The stages of the Dockerfile that are built."""
        return (*(TARGETS[app] for app in self.apps), *((PROCESSING_TARGET,) if self.processing else ()))


class PipelineConfig(Table):
    """`[[research.pipelines]]`: a script that runs by itself: by hand, by a schedule, or with what a message brings."""

    name: Name
    script: str = "research/jobs/qc_metrics.py"
    """The file, from the project's folder or absolute. It reads and writes where a processing job does."""
    instance_type: str = "ml.m5.xlarge"
    volume_gb: int = Field(default=30, ge=1, le=16_384)
    maximum_minutes: int = Field(default=60, ge=1, le=7 * 24 * 60)
    schedule: Schedule | None = None
    """When it starts by itself, with what is below its default input: `rate(…)` or `cron(…)`, in UTC."""
    parameters: dict[str, int | float | str] = QC_PARAMETERS
    """Of the script: `min_genes = 500` is its argument `--min-genes 500`, and the pipeline's parameter `MinGenes`."""

    @property
    def file(self) -> Path:
        """The script."""
        return ROOT / self.script

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # a dictionary has no hash of its own


class BudgetConfig(Table):
    """`[research.budget]`: what SageMaker may cost in the account in a month, and who is told."""

    monthly_usd: int = Field(ge=1)
    emails: tuple[Email, ...] = Field(strict=False, min_length=1, max_length=10)


class WorkstationConfig(Table):
    """`[research.workstation]`: a notebook instance for the administrator, for building images by hand."""

    instance_type: str = "ml.t3.medium"
    volume_gb: int = Field(default=50, ge=5, le=16_384)
    stop_hour_utc: int = Field(default=19, ge=0, le=23)
    """The hour at which it is stopped, every day."""


class ResearchConfig(Table):
    """`[research]`."""

    account: Account
    region: Region
    auth: Literal["sso", "iam"] = "sso"
    """How researchers sign on. Cannot be changed once deployed."""
    identity_center: IdentityCenterConfig | None = None
    users: tuple[UserConfig, ...] = Field(default=(), strict=False)
    groups: tuple[GroupConfig, ...] = Field(default=(), strict=False)
    spaces: tuple[SpaceConfig, ...] = Field(default=(), strict=False)
    images: tuple[ImageConfig, ...] = Field(default=(), strict=False)
    image_builds_kept: int = Field(default=10, ge=2, le=1000)
    """How many builds of each image the registry keeps; a deployment can be rolled back to these at no cost."""
    network: Literal["vpc-only", "internet"] = "vpc-only"
    """`internet`: the apps have a way out, by SageMaker's own network. The data bucket is as private as ever."""
    vpc_id: VpcId | None = None
    """An existing VPC, which has to have the endpoints itself. Otherwise one is made."""
    subnet_ids: tuple[SubnetId, ...] = Field(default=(), strict=False, max_length=10)
    home_efs: bool = False
    """A home directory for each researcher on EFS, as Studio Classic has it, beside the spaces' own volumes."""
    instance_types: tuple[str, ...] = Field(
        default=("ml.t3.medium", "ml.t3.xlarge", "ml.m5.xlarge", "ml.m5.4xlarge"), strict=False, min_length=1
    )
    """What researchers may start, for an app or for a job."""
    default_instance_type: str = "ml.t3.medium"
    idle_minutes: int = Field(default=120, ge=60, le=525_600)
    """An app that has done nothing for so long is shut down."""
    volume_gb: int = Field(default=20, ge=5, le=16_384)
    """A private space's volume, unless its owner asks for more."""
    maximum_volume_gb: int = Field(default=100, ge=5, le=16_384)
    hidden_apps: tuple[str, ...] = Field(default=("JupyterServer", "TensorBoard", "Canvas"), strict=False)
    """Apps that Studio does not show."""
    readable_buckets: tuple[BucketName, ...] = Field(default=(), strict=False)
    """Buckets, besides the environment's own, that researchers and their jobs may read."""
    permissions_boundary: PolicyArn | None = None
    """Put on every role of the environment."""
    pipelines: tuple[PipelineConfig, ...] = Field(default=(), strict=False)
    budget: BudgetConfig | None = None
    workstation: WorkstationConfig | None = None
