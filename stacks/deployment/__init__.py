"""The deployment file: one TOML file an environment, read and checked as a whole, and the names made from it.

Knows nothing of CDK. The only part of `stacks` that commands, the local world and tests of templates may import.
"""

from stacks.deployment.model import (
    BaseDeployment,
    Deployment,
    DeploymentError,
    FunctionSubscriberConfig,
    HttpsSubscriberConfig,
    LambdaSubscriberConfig,
    OperationsConfig,
    PublisherConfig,
    ResearchDeployment,
    SenderConfig,
    SqsSubscriberConfig,
    SubscriberConfig,
    load,
    parse,
)

__all__ = [
    "BaseDeployment",
    "Deployment",
    "DeploymentError",
    "FunctionSubscriberConfig",
    "HttpsSubscriberConfig",
    "LambdaSubscriberConfig",
    "OperationsConfig",
    "PublisherConfig",
    "ResearchDeployment",
    "SenderConfig",
    "SqsSubscriberConfig",
    "SubscriberConfig",
    "load",
    "parse",
]
