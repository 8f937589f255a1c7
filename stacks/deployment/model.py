"""The deployment file as a whole: its keys are the fields of these models and of the models of its tables."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from stacks.deployment.operations import OperationsConfig
from stacks.deployment.publisher import PublisherConfig
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import SenderConfig
from stacks.deployment.subscriber import SubscriberConfig
from stacks.deployment.types import Name, Table, matches

Organization = Annotated[str, matches(r"o-[a-z0-9]{10,32}", "must be an AWS Organizations id, such as o-a1b2c3d4e5")]


def _not_default(name: str) -> str:
    if name == "default":
        raise ValueError("is the name of the event bus that every account has; choose another")
    return name


class BaseDeployment(Table):
    """The keys outside any table. `name` begins every physical name, so that deployments can share an account."""

    name: Annotated[Name, AfterValidator(_not_default)]
    organization: Organization | None = None
    """When given, principals outside this AWS organisation are refused at every account boundary."""
    ephemeral: bool = False
    """For trials: `cdk destroy` deletes data too. Otherwise stateful resources are retained and stacks protected."""
    operations: OperationsConfig = OperationsConfig()


class Deployment(BaseDeployment):
    """A whole deployment file: messages and, where it has a `[research]` section, a research environment."""

    publisher: PublisherConfig
    senders: tuple[SenderConfig, ...] = ()
    subscribers: tuple[SubscriberConfig, ...]
    research: ResearchConfig | None = None


class ResearchDeployment(BaseDeployment):
    """A deployment file with a `[research]` section alone: no messages."""

    research: ResearchConfig
