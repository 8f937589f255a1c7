"""The deployment file: one TOML file an environment, read and checked as a whole, and the names made from it.

Knows nothing of CDK. The only part of `stacks` that commands, the local world and tests of templates may import.
"""

from stacks.deployment.model import (
    Deployment,
    DeploymentError,
    FunctionSubscriber,
    Head,
    HttpsSubscriber,
    LambdaSubscriber,
    Operations,
    Publisher,
    ResearchDeployment,
    Sender,
    SqsSubscriber,
    Subscriber,
    load,
    parse,
)

__all__ = [
    "Deployment",
    "DeploymentError",
    "FunctionSubscriber",
    "Head",
    "HttpsSubscriber",
    "LambdaSubscriber",
    "Operations",
    "Publisher",
    "ResearchDeployment",
    "Sender",
    "SqsSubscriber",
    "Subscriber",
    "load",
    "parse",
]
