"""`[research]`: the part of the deployment file that describes the research environment.

`problems(research)` finds what each value allows alone and SageMaker, or another value, does not allow together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from botocore.session import get_session
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
    kept_images: int = Field(default=10, ge=2, le=1000)
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


def problems(research: ResearchConfig) -> Iterator[str]:
    """What does not go together, each with its key and value."""
    for check in (_sign_on, _people, _spaces, _images, _network, _instances, _volumes, _hidden, _pipelines):
        yield from check(research)


def _sign_on(research: ResearchConfig) -> Iterator[str]:
    if research.auth == "sso" and not research.identity_center:
        yield (
            'research.auth = "sso": [research.identity_center] is missing; name the instance and its identity store, '
            'or use auth = "iam"'
        )
    if research.auth == "iam":
        given = [key for key in ("identity_center", "groups") if getattr(research, key)]
        for key in given:
            yield f'research.{key}: needs auth = "sso"; with "iam" there are no groups and no directory'


def _people(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.users", "name", (user.name for user in research.users))
    yield from _twice("research.users", "name", (user.profile for user in research.users), "profile")
    yield from _twice("research.groups", "name", (group.name for group in research.groups))
    for index, user in enumerate(research.users):
        key = f"research.users[{index}]"
        new = {name: getattr(user, name) for name in ("given_name", "family_name", "email")}
        missing = [name for name, value in new.items() if value is None]
        if research.auth == "iam" and (user.principal_id or len(missing) < len(new)):
            yield f'{key} = {user.name!r}: with auth = "iam" a user has a name and nothing else'
        if research.auth == "sso" and not user.principal_id and missing:
            yield (
                f"{key} = {user.name!r}: give principal_id, for a user of the directory, or {', '.join(missing)}, "
                "for one to be created"
            )
        if user.principal_id and len(missing) < len(new):
            yield f"{key} = {user.name!r}: has a principal_id, so it is not created; leave out given_name, … and email"
    known = {user.name for user in research.users}
    for index, group in enumerate(research.groups):
        for member in group.members:
            if member not in known:
                yield (
                    f"research.groups[{index}].members = {member!r}: is no user of this file; add a [[research.users]] "
                    "table, or put the user into the group in Identity Center"
                )


def _spaces(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.spaces", "name", (space.name for space in research.spaces))
    known = {user.name for user in research.users}
    for index, space in enumerate(research.spaces):
        if space.owner not in known:
            yield f"research.spaces[{index}].owner = {space.owner!r}: is no user of this file"


def _images(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.images", "name", (image.name for image in research.images))
    for index, image in enumerate(research.images):
        key = f"research.images[{index}]"
        if len(set(image.apps)) < len(image.apps):
            yield f"{key}.apps = {list(image.apps)}: names an app twice"
        if (image.uid == 0) != (image.gid == 0):
            yield f"{key}.uid = {image.uid}: SageMaker takes uid 0 with gid 0, or uid 1000 with gid 100"
        dockerfile = image.folder / image.dockerfile
        if not dockerfile.is_file():
            yield f"{key}.context = {image.context!r}: there is no {image.dockerfile} in {image.folder}"
            continue
        stages = re.findall(r"^FROM\s.*\sAS\s+(\S+)\s*$", dockerfile.read_text(), flags=re.MULTILINE | re.IGNORECASE)
        for target in image.targets:
            if target not in stages:
                yield (
                    f"{key}.apps = {list(image.apps)}: {dockerfile.name} has no stage {target!r}; it has "
                    f"{', '.join(stages) or 'none with a name'}"
                )
    if any("KernelGateway" in image.apps for image in research.images) and not research.home_efs:
        yield (
            'research.home_efs = false: an image with the app "KernelGateway" (Studio Classic) needs home_efs = true, '
            "where it mounts the researcher's home"
        )
    if sum(image.processing for image in research.images) > 1:
        named = ", ".join(image.name for image in research.images if image.processing)
        yield f"research.images: {named} have processing = true; jobs run one image, so choose one"


def _network(research: ResearchConfig) -> Iterator[str]:
    if bool(research.vpc_id) != bool(research.subnet_ids):
        missing = "subnet_ids" if research.vpc_id else "vpc_id"
        yield f"research.{missing}: is missing; an existing network is named by vpc_id and subnet_ids together"
    yield from _twice("research.subnet_ids", "", research.subnet_ids)


def _instances(research: ResearchConfig) -> Iterator[str]:
    for instance_type in research.instance_types:
        if instance_type not in app_instance_types():
            yield f"research.instance_types = {instance_type!r}: is no instance type of SageMaker Studio"
    if research.default_instance_type not in research.instance_types:
        yield (
            f"research.default_instance_type = {research.default_instance_type!r}: is not one of instance_types "
            f"({', '.join(research.instance_types)})"
        )
    if research.workstation and research.workstation.instance_type not in enumeration("InstanceType"):
        yield (
            f"research.workstation.instance_type = {research.workstation.instance_type!r}: is no instance type of "
            "SageMaker notebook instances"
        )


def _volumes(research: ResearchConfig) -> Iterator[str]:
    for key, size in (
        ("volume_gb", research.volume_gb),
        *((f"spaces[{index}].volume_gb", space.volume_gb) for index, space in enumerate(research.spaces)),
    ):
        if size > research.maximum_volume_gb:
            yield f"research.{key} = {size}: is more than maximum_volume_gb = {research.maximum_volume_gb}"


def _hidden(research: ResearchConfig) -> Iterator[str]:
    for app in research.hidden_apps:
        if app not in enumeration("AppType"):
            yield f"research.hidden_apps = {app!r}: is no app of Studio ({', '.join(sorted(enumeration('AppType')))})"
    used = {app for image in research.images for app in image.apps}
    for app in sorted(used.intersection(research.hidden_apps)):
        yield f"research.hidden_apps = {app!r}: hides an app that an image is for"


RESERVED = ("input", "output", "instance_type")
"""Parameters that every pipeline has."""


def _pipelines(research: ResearchConfig) -> Iterator[str]:
    yield from _twice("research.pipelines", "name", (pipeline.name for pipeline in research.pipelines))
    if research.pipelines and not any(image.processing for image in research.images):
        yield "research.pipelines: need an image to run in; set processing = true for one of the [[research.images]]"
    for index, pipeline in enumerate(research.pipelines):
        key = f"research.pipelines[{index}]"
        if not pipeline.file.is_file() or pipeline.file.suffix != ".py":
            yield f"{key}.script = {pipeline.script!r}: is no .py file; {pipeline.file} is where it was looked for"
        if pipeline.instance_type not in research.instance_types:
            yield (
                f"{key}.instance_type = {pipeline.instance_type!r}: is not one of instance_types "
                f"({', '.join(research.instance_types)})"
            )
        for name in pipeline.parameters:
            if name in RESERVED:
                yield f"{key}.parameters.{name}: is a parameter that every pipeline has; choose another name"
            elif not re.fullmatch(r"[a-z]+(_[a-z]+)*", name):
                yield f"{key}.parameters.{name}: must be lower-case words joined by underscores, such as min_genes"


def _twice(where: str, key: str, values: Iterable[str], what: str = "") -> Iterator[str]:
    for value, times in Counter(values).items():
        if times > 1:
            yield f"{where}{'.' * bool(key)}{key} = {value!r}: is there {times} times{f' as {what}' * bool(what)}"


@cache
def enumeration(shape: str) -> frozenset[str]:
    """The values that SageMaker's API knows, from the model that botocore ships."""
    return frozenset(get_session().get_service_model("sagemaker").shape_for(shape).enum)  # type: ignore[attr-defined]


def app_instance_types() -> frozenset[str]:
    """What an app of Studio can run on; `system` is not for choosing."""
    return enumeration("AppInstanceType") - {"system"}
