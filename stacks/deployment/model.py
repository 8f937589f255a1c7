"""The deployment file as a whole: its keys are the fields of these models and of the models of its tables."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from typing_extensions import Doc

from stacks.deployment.operations import OperationsConfig
from stacks.deployment.platform import PlatformConfig
from stacks.deployment.publisher import PublisherConfig
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import SenderConfig
from stacks.deployment.subscriber import SubscriberConfig
from stacks.deployment.types import Array, Name, Table, pattern

Organization = Annotated[
    str,
    pattern(r"o-[a-z0-9]{10,32}", "must be an AWS Organizations id, such as o-a1b2c3d4e5."),
    Doc("AWS Organizations id"),
]


_RESERVED_BY_S3 = ("sthree-", "amzn-s3-demo-")
"""Beginnings that names of buckets may not have. (S3 user guide, "General purpose bucket naming rules".)"""


def _reject_reserved(name: str) -> str:
    if name == "default":
        raise ValueError("is the name of the account's default event bus. Choose another name.")
    if f"{name}-".startswith(_RESERVED_BY_S3):
        raise ValueError("begins the names of buckets, and S3 reserves this beginning. Choose another name.")
    return name


SCHEMA_VERSION = 1
"""The version of the keys that this release reads. docs/upgrading.md has the changes of each version."""


class BaseDeployment(Table):
    """Keys that every deployment file has."""

    schema_version: Annotated[int, Field(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)] = 1
    """Version of the keys. See [versions of the deployment file](upgrading.md#versions-of-the-deployment-file)."""
    name: Annotated[Name, AfterValidator(_reject_reserved)]
    """Beginning of all physical names. Deployments with different names can share accounts."""
    organization: Organization | None = None
    """Resource policies deny principals outside this AWS organisation."""
    ephemeral: bool = False
    """For trials: `cdk destroy` deletes data too. Otherwise stateful resources are retained, and the stacks of
    publisher, replicas and research have termination protection.
    """
    operations: OperationsConfig = OperationsConfig()
    """Alarms and logs."""
    platform: PlatformConfig = PlatformConfig()
    """Settings of an organisation."""


class Deployment(BaseDeployment):
    """A deployment file with messages, and optionally a research environment."""

    publisher: PublisherConfig
    """The publisher."""
    senders: Array[SenderConfig] = ()
    """Senders."""
    subscribers: Array[Annotated[SubscriberConfig, Field(discriminator="kind")]] = Field(min_length=1)
    """Subscribers."""
    research: ResearchConfig | None = None
    """The research environment."""


class ResearchDeployment(BaseDeployment):
    """A deployment file with a research environment and no messages."""

    research: ResearchConfig
    """The research environment."""
