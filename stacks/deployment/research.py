"""The table `[research]` of the deployment file, and the tables in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import Doc

from research.instance_types import has_local_storage
from stacks.deployment.types import (
    Account,
    Array,
    AvailabilityZone,
    Email,
    Name,
    Region,
    SubnetId,
    Table,
    Unique,
    VpcId,
    WebAddress,
    pattern,
)

ROOT = Path(__file__).parents[2]
"""The project's folder, which relative paths of images and scripts start from."""

App = Literal["JupyterLab", "CodeEditor", "KernelGateway"]
TARGETS: dict[App, str] = {"JupyterLab": "studio", "CodeEditor": "code-editor", "KernelGateway": "kernel"}
"""Dockerfile stage of each app."""
PROCESSING_TARGET = "processing"
"""Dockerfile stage of processing jobs."""
QC_PARAMETERS: dict[str, int | float | str] = {
    "data_set": "none",
    "sample": "none",
    "sample_by": "none",
    "matrix": "none",
    "genome": "none",
    "transpose": "auto",
    "fractions": "no",
    "min_genes_before": "none",
    "min_genes": 500,
    "max_genes": 6000,
    "min_umis": "none",
    "max_umis": "none",
    "mito_prefix": "MT-",
    "percent_mito": 10.0,
    "mads": "none",
}
"""Parameters of research/jobs/qc_metrics with their defaults."""

InstanceArn = Annotated[
    str,
    pattern(
        r"arn:aws[a-z-]*:sso:::instance/(sso)?ins-[a-zA-Z0-9-.]{16}",
        "must be the ARN of an IAM Identity Center instance, such as arn:aws:sso:::instance/ssoins-1234567890abcdef.",
    ),
    Doc("instance ARN"),
]
IdentityStoreId = Annotated[
    str,
    pattern(r"d-[0-9a-f]{10}|[0-9a-f-]{36}", "must be an identity store id, such as d-1234567890."),
    Doc("identity store id"),
]
PrincipalId = Annotated[
    str,
    pattern(
        r"([0-9a-f]{10}-)?[A-Fa-f0-9]{8}(-[A-Fa-f0-9]{4}){3}-[A-Fa-f0-9]{12}",
        "must be the id of a user or group in Identity Center, such as 1234567890-01234567-89ab-….",
    ),
    Doc("id in Identity Center"),
]
UserName = Annotated[
    str,
    pattern(
        r"[A-Za-z0-9][\w+=,.@-]{0,126}", "must be a user name of letters, digits and + = , . @ - _, at most 127 in all."
    ),
    Doc("user name"),
]
BucketName = Annotated[
    str, pattern(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "must be the name of an S3 bucket."), Doc("bucket name")
]
Schedule = Annotated[
    str,
    pattern(
        r"rate\([1-9][0-9]* (minute|hour|day)s?\)|cron\(\S+( \S+){5}\)",
        "must be rate(…), such as rate(1 day), or cron(minutes hours day-of-month month day-of-week year).",
    ),
    Doc("`rate(…)` or `cron(…)`"),
]
ImageName = Annotated[
    str,
    pattern(
        r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
        "must be lower-case words and numbers, joined by hyphens. It begins with a letter.",
    ),
    Doc("lower-case words and numbers, joined by hyphens"),
]
RegistryImage = Annotated[
    str,
    pattern(
        r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.(com|com\.cn|eu)/[a-z0-9][a-z0-9._/-]*(:[\w.-]+|@sha256:[0-9a-f]{64})",
        "must be an image of an ECR registry with tag or digest, such as "
        "111111111111.dkr.ecr.us-east-1.amazonaws.com/name:1.0.",
    ),
    Doc("image of an ECR registry"),
]
PinnedImage = Annotated[
    str,
    pattern(
        r"[a-z0-9][\w.:/-]*@sha256:[0-9a-f]{64}",
        "must be the name of an image with its digest, such as registry.example.com/python@sha256:….",
    ),
    Doc("image name with digest"),
]


def _check_parameter(value: object) -> object:
    if type(value) not in (int, float, str):
        raise ValueError("must be a number or text.")
    return value


Parameter = Annotated[int | float | str, BeforeValidator(_check_parameter), Doc("number or text")]


class IdentityCenterConfig(Table):
    """`[research.identity_center]`: the IAM Identity Center instance, which must be in the research Region."""

    instance_arn: InstanceArn
    """The Identity Center instance. Cannot be changed after deployment."""
    identity_store_id: IdentityStoreId
    """Identity store of the instance, in which users and groups are created."""


class UserConfig(Table):
    """`[[research.users]]`: a researcher with a profile, a role and a private prefix in the data bucket."""

    name: UserName
    """User name in Identity Center. The profile's name is the same, with hyphens for characters it cannot have."""
    principal_id: PrincipalId | None = None
    """Existing Identity Center user. Without it the user is created, which requires Identity Center's own directory."""
    given_name: str | None = None
    """Given name of a new user."""
    family_name: str | None = None
    """Family name of a new user."""
    email: Email | None = None
    """E-mail address of a new user. Change it in Identity Center, not here."""

    @property
    def profile(self) -> str:
        """The name of the user's profile in the domain, and of the user's prefix in the data bucket."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.name).strip("-").lower()


class GroupConfig(Table):
    """`[[research.groups]]`: a group whose members may sign on. Studio creates their profiles at the first sign-on."""

    name: Annotated[str, Field(min_length=1, max_length=1024)]
    """Name of the group."""
    principal_id: PrincipalId | None = None
    """Existing Identity Center group. Without it the group is created."""
    members: Annotated[Array[UserName], Unique] = ()
    """Users of `[[research.users]]` that the deployment adds to the group."""


class SpaceConfig(Table):
    """`[[research.spaces]]`: a space that researchers share. They create private spaces in Studio."""

    name: Name
    """Name of the space."""
    owner: UserName
    """Owner, a user of `[[research.users]]`. Cannot be changed after deployment."""
    volume_gb: int = Field(default=20, ge=5, le=16_384)
    """Size of the space's volume in GB."""


class ImageConfig(Table):
    """`[[research.images]]`: an image that is built in the account and attached to the domain.

    The first image of an app is the app's default.
    """

    name: ImageName
    """Name of the image."""
    display_name: Annotated[str, Field(min_length=1, max_length=128)]
    """Name of the image in Studio."""
    context: str
    """Folder with the Dockerfile: an absolute path, or one from the project's folder."""
    dockerfile: str = "Dockerfile"
    """Path of the Dockerfile in the folder."""
    base: PinnedImage | None = None
    """Value of the Dockerfile's build argument `BASE`, the image it begins with, with its digest (`name@sha256:…`).
    Without it, the base is that of `research/image/bases.toml`. Does not apply to the stage `code-editor`.
    """
    apps: Annotated[Array[App], Unique] = Field(default=("JupyterLab",), min_length=1)
    """Apps that run the image. `JupyterLab` runs the Dockerfile's stage `studio`, `CodeEditor` the stage `code-editor`,
    `KernelGateway` (Studio Classic) the stage `kernel`.
    """
    processing: bool = False
    """Also builds the stage `processing`, an image for processing jobs. Jobs run the first such image, or the one that
    they name.
    """

    @property
    def folder(self) -> Path:
        """The build context."""
        return ROOT / self.context

    @property
    def targets(self) -> tuple[str, ...]:
        """The stages of the Dockerfile that are built."""
        return (*(TARGETS[app] for app in self.apps), *((PROCESSING_TARGET,) if self.processing else ()))


class PipelineConfig(Table):
    """`[[research.pipelines]]`: a script in a SageMaker pipeline of one step, `<deployment>--<name>`.

    It is started by hand, by a schedule, or by messages.
    """

    name: Name
    """Name of the pipeline, of its jobs, and of its folder in `shared/`."""
    script: str = "research/jobs/qc_metrics"
    """The script, a file or a folder with `__main__.py`: an absolute path, or one from the project's folder."""
    instance_type: str = "ml.m5.xlarge"
    """Default instance type of the job, one of `job_instance_types` without local storage."""
    volume_gb: int = Field(default=30, ge=1, le=16_384)
    """Size of the job's volume in GB. It must hold input and output."""
    maximum_minutes: int = Field(default=60, ge=1, le=7 * 24 * 60)
    """Maximum duration of the job, after which SageMaker stops it."""
    image: ImageName | None = None
    """Image of the job, one of `[[research.images]]` with `processing = true`. By default, the first."""
    schedule: Schedule | None = None
    """Schedule in UTC. A scheduled execution reads `shared/<name>/input/`."""
    parameters: dict[str, Parameter] = QC_PARAMETERS
    """Parameters of the script with their defaults: `min_genes = 500` is the argument `--min-genes 500`, and `MinGenes`
    in the pipeline. By default, the parameters of `qc_metrics`.
    """

    @property
    def file(self) -> Path:
        """The script."""
        return ROOT / self.script

    def __hash__(self) -> int:
        return hash(self.model_dump_json())  # a dictionary has no hash


class BudgetConfig(Table):
    """`[research.budget]`: a monthly budget for SageMaker in the account, or for the account."""

    monthly_usd: int = Field(ge=1)
    """Budget in USD for each month."""
    emails: Annotated[Array[Email], Unique] = Field(min_length=1, max_length=10)
    """Recipients of mails at 80 % and 100 % of the budget, and when 100 % is forecast."""
    whole_account: bool = False
    """Counts all costs of the account, with VPC endpoints, registry and logs. Otherwise only SageMaker is counted."""


class WorkstationConfig(Table):
    """`[research.workstation]`: a notebook instance for the administrator, to build images by hand."""

    instance_type: str = "ml.t3.medium"
    """Instance type of the notebook instance."""
    volume_gb: int = Field(default=50, ge=5, le=16_384)
    """Size of its volume in GB."""
    stop_hour_utc: int = Field(default=19, ge=0, le=23)
    """Hour, in UTC, at which it is stopped every day."""


class ResearchConfig(Table):
    """`[research]`: a SageMaker Studio environment."""

    account: Account
    """The research account."""
    region: Region
    """Region of the environment. With `auth = "sso"`, the Region of IAM Identity Center."""
    auth: Literal["sso", "iam"] = "sso"
    """Sign-on. `"sso"`: IAM Identity Center. `"iam"`: principals that may call `CreatePresignedDomainUrl` for a
    profile. Cannot be changed after deployment.
    """
    identity_center: IdentityCenterConfig | None = None
    """Required with `auth = "sso"`."""
    users: Array[UserConfig] = ()
    """Researchers."""
    groups: Array[GroupConfig] = ()
    """Groups, with `auth = "sso"`."""
    spaces: Array[SpaceConfig] = ()
    """Shared spaces."""
    images: Array[ImageConfig] = ()
    """Images."""
    image_builds_kept: int = Field(default=10, ge=2, le=1000)
    """Number of builds of each image that the image repository retains. A deployment can be rolled back to these
    without a build.
    """
    network: Literal["vpc-only", "internet"] = "vpc-only"
    """`"vpc-only"`: apps reach AWS services only. `"internet"`: apps also reach the internet, through SageMaker's
    network. A created VPC then has no interface endpoints, so that jobs with a network reach S3 only.
    """
    vpc_id: VpcId | None = None
    """Existing VPC, with the endpoints that the guide lists. Without it, a VPC is created. Cannot be changed after
    deployment.
    """
    subnet_ids: Annotated[Array[SubnetId], Unique] = Field(default=(), max_length=10)
    """Private subnets of `vpc_id`."""
    availability_zones: Annotated[Array[AvailabilityZone], Unique] = Field(default=(), max_length=6)
    """Zones of the created VPC's subnets, such as `["us-east-1b", "us-east-1d"]`. By default, the first two of the
    account. Choose others if a VPC endpoint or an instance type is not available there. Cannot be changed after
    deployment.
    """
    home_efs: bool = False
    """A home directory on EFS for each researcher, next to the volumes of spaces. Studio Classic requires it. Needs
    `vpc_id`. Cannot be changed after deployment.
    """
    instance_types: Annotated[Array[str], Unique] = Field(
        default=("ml.t3.medium", "ml.t3.xlarge", "ml.m5.xlarge", "ml.r5.large", "ml.r5.xlarge", "ml.r5.4xlarge"),
        min_length=1,
    )
    """Instance types of apps that researchers may start. Others are denied, and hidden in Studio."""
    default_instance_type: str = "ml.r5.large"
    """Default instance type of an app. `ml.r5.large` has 16 GB of memory."""
    job_instance_types: Annotated[Array[str], Unique] = Field(
        default=("ml.t3.medium", "ml.m5.xlarge", "ml.m5.4xlarge", "ml.r5.xlarge", "ml.r5.4xlarge"), min_length=1
    )
    """Instance types of processing jobs that researchers may start. Others are denied. Pipelines use those without
    local storage.
    """
    idle_minutes: int = Field(default=120, ge=60, le=525_600)
    """Idle time after which an app is shut down. A researcher may choose less."""
    volume_gb: int = Field(default=20, ge=5, le=16_384)
    """Default size of a private space's volume in GB."""
    maximum_volume_gb: int = Field(default=100, ge=5, le=16_384)
    """Maximum size of a space's volume in GB."""
    hidden_apps: Annotated[Array[str], Unique] = ("JupyterServer", "TensorBoard", "Canvas")
    """Apps that Studio does not show."""
    job_image: RegistryImage | None = None
    """Existing image of an ECR registry for processing jobs, if no image of the file has `processing = true`. Its
    registry must allow this account.
    """
    package_index: WebAddress | None = None
    """Index of Python packages for `pip install` in apps, such as your organisation's mirror. The network must reach
    it. Without it, pip asks the public index, which apps reach with `network = "internet"` only.
    """
    readable_buckets: Annotated[Array[BucketName], Unique] = ()
    """Other buckets that researchers and their jobs may read. Another account's bucket must allow it too."""
    pipelines: Array[PipelineConfig] = ()
    """Pipelines."""
    budget: BudgetConfig | None = None
    """A budget."""
    workstation: WorkstationConfig | None = None
    """A notebook instance for the administrator. Needs `vpc_id`: a created VPC reaches no registry to build from."""

    @property
    def job_images(self) -> tuple[ImageConfig, ...]:
        """The images with a stage for processing jobs."""
        return tuple(image for image in self.images if image.processing)

    @property
    def has_job_image(self) -> bool:
        """Whether jobs have an image, built or existing."""
        return bool(self.job_image or self.job_images)

    @property
    def pipeline_instance_types(self) -> tuple[str, ...]:
        """Instance types of pipelines' jobs. Their volumes' key cannot depend on the type."""
        return tuple(each for each in self.job_instance_types if not has_local_storage(each))

    @property
    def classic(self) -> bool:
        """Whether an image runs in Studio Classic."""
        return any("KernelGateway" in image.apps for image in self.images)
