"""The deployment file: one TOML file an environment, read and checked as a whole, and the names made from it.

Knows nothing of CDK. The only part of `stacks` that commands, the local world and tests of templates may import.
"""

from stacks.deployment.load import load, load_messaging, parse, parse_messaging
from stacks.deployment.model import BaseDeployment, Deployment, ResearchDeployment
from stacks.deployment.names import (
    Names,
    PayloadBucketNames,
    Place,
    PublisherNames,
    ReplicaNames,
    ResearchNames,
    Resource,
    SenderNames,
    SubscriberNames,
)
from stacks.deployment.operations import OperationsConfig
from stacks.deployment.problems import DeploymentError
from stacks.deployment.publisher import PublisherConfig
from stacks.deployment.research import ResearchConfig
from stacks.deployment.sender import SenderConfig
from stacks.deployment.subscriber import (
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
)

__all__ = [
    "BaseDeployment",
    "Deployment",
    "DeploymentError",
    "FunctionSubscriberConfig",
    "HttpsSubscriberConfig",
    "LambdaSubscriberConfig",
    "Names",
    "OperationsConfig",
    "PayloadBucketNames",
    "Place",
    "PublisherConfig",
    "PublisherNames",
    "ReplicaNames",
    "ResearchConfig",
    "ResearchDeployment",
    "ResearchNames",
    "Resource",
    "SenderConfig",
    "SenderNames",
    "SqsSubscriberConfig",
    "SubscriberConfig",
    "SubscriberNames",
    "load",
    "load_messaging",
    "parse",
    "parse_messaging",
]
