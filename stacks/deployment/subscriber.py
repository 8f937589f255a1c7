"""The table `[[subscribers]]` of the deployment file, of each kind, and the tables of what is behind a queue."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stacks.deployment.ecs_task import EcsTaskConfig, NetworkConfig
from stacks.deployment.filter_policy import FilterPolicy
from stacks.deployment.state_machine import StateMachineConfig
from stacks.deployment.types import Account, HttpsUrl, Name, Region, RoleArn, Table

RetentionDays = Annotated[int, Field(ge=1, le=14)]


class LandingConfig(Table):
    """`[subscribers.landing]`: S3 copies each payload into a bucket of the subscriber's own."""

    retention_days: int = Field(default=30, ge=1, le=3650)
    """How long a landed payload is kept."""


class FanOutConfig(Table):
    """`[subscribers.fan_out]`: a landed payload's items, each an execution of its own."""

    format: Literal["jsonl", "csv"]
    """What a payload is: a JSON value a line, or CSV whose first line names the columns."""
    maximum_concurrency: int = Field(default=10, ge=1, le=10_000)
    """How many items are processed at the same time."""
    tolerated_failure_percentage: int = Field(default=0, ge=0, le=100)
    """How many of a payload's items may fail before the whole of it does."""


class _SubscriberConfig(Table):
    name: Name
    account: Account
    region: Region
    filter_policy: FilterPolicy | None = None
    """Which messages it gets; every one, when there is none."""
    filter_policy_scope: Literal["attributes", "body"] = "attributes"
    dead_letter_retention_days: RetentionDays = 14


class _FunctionSubscriberConfig(_SubscriberConfig):
    function_timeout_seconds: int = Field(default=300, ge=30, le=900)


class SqsSubscriberConfig(_FunctionSubscriberConfig):
    """`[[subscribers]]` with `kind = "sqs"`: a queue, a function that polls it, a state machine."""

    kind: Literal["sqs"]
    batch_size: int = Field(default=5, ge=1, le=10)
    maximum_concurrency: int = Field(default=10, ge=2, le=1000)
    maximum_receives: int = Field(default=5, ge=1, le=1000)
    """How many times a message is tried before SQS moves it to the dead-letter queue."""
    queue_retention_days: RetentionDays = 4
    visibility_timeout_seconds: int | None = Field(default=None, ge=30, le=43_200)
    """Six times the function's time-out unless given; less is refused."""
    landing: LandingConfig | None = None
    """Copy each payload into a bucket of the subscriber's own."""
    pipeline: Name | None = None
    """Make each payload a data set of this research pipeline, and start it with that."""
    fan_out: FanOutConfig | None = None
    """Process each item of a landed payload by itself."""
    state_machine: StateMachineConfig | None = None
    """A state machine of one's own instead of ours."""

    @property
    def visibility_timeout(self) -> int:
        """Seconds a received message stays hidden from other receivers."""
        return self.visibility_timeout_seconds or 6 * self.function_timeout_seconds


class LambdaSubscriberConfig(_FunctionSubscriberConfig):
    """`[[subscribers]]` with `kind = "lambda"`: a function subscribed directly, an ECS task."""

    kind: Literal["lambda"]
    maximum_concurrency: int | None = Field(default=None, ge=1, le=10_000)
    """How many invocations of the function at the same time; as many as its account has left, when not given."""
    task: EcsTaskConfig = EcsTaskConfig()
    """What runs with each message."""
    network: NetworkConfig | None = None
    """Where that runs; in a small network of its own, when there is none."""


class HttpsSubscriberConfig(_SubscriberConfig):
    """`[[subscribers]]` with `kind = "https"`: a web server anywhere, which reads payloads as a role of the account.

    `region` is where the server is, or what is nearest: its stack is where the topic is.
    """

    kind: Literal["https"]
    endpoint: HttpsUrl
    reader_principals: tuple[RoleArn, ...] = Field(default=(), strict=False)
    """Roles of the account that may take on the reader role; whoever the account lets, when there are none."""


FunctionSubscriberConfig = SqsSubscriberConfig | LambdaSubscriberConfig
"""Those with a function that dereferences, an inbox and a dead-letter queue."""
SubscriberConfig = SqsSubscriberConfig | LambdaSubscriberConfig | HttpsSubscriberConfig
