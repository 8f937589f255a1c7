"""The table `[[subscribers]]` of the deployment file, one model for each kind, and `[subscribers.landing]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from stacks.deployment.ecs_task import EcsTaskConfig, NetworkConfig
from stacks.deployment.filter_policy import FilterPolicy
from stacks.deployment.own_code import CodeConfig
from stacks.deployment.state_machine import StateMachineConfig
from stacks.deployment.types import Account, Array, EndpointUrl, Name, Region, RoleArn, Table, Unique

RetentionDays = Annotated[int, Field(ge=1, le=14)]
DELIVERY_POLICY = {
    "healthyRetryPolicy": {
        "numRetries": 28,
        "numNoDelayRetries": 0,
        "numMinDelayRetries": 3,
        "minDelayTarget": 5,
        "numMaxDelayRetries": 20,
        "maxDelayTarget": 120,
        "backoffFunction": "exponential",
    }
}
"""Retries of a delivery to an endpoint: delays in seconds, at most 3 x 5 + 25 x 120 = 3,015 in all.

By default SNS retries three times within a minute, but a server's restart can take longer. SNS allows an hour
of delays. With 15 seconds for each attempt without a response, retries end within an hour, while the endpoint still
accepts the notification as recent (`claim_check.https.WINDOW`).
"""


class LandingConfig(Table):
    """`[subscribers.landing]`: a bucket of the subscriber that S3 copies each payload to."""

    retention_days: int = Field(default=30, ge=1, le=3650)
    """Retention of landed payloads."""


class BaseSubscriberConfig(Table):
    """Keys of all subscribers."""

    name: Name
    """Name of the subscriber. Part of the names of its stack and resources."""
    account: Account
    """The subscriber's account. It may be the publisher's."""
    region: Region
    """Region of the subscriber's resources; for `https`, the Region nearest to the endpoint. An opt-in Region must be
    enabled in the account. SNS delivers to no function in an opt-in Region or Osaka from another Region, and to nothing
    between two of these.
    """
    subscribed: bool = True
    """Whether the topic delivers messages. Without, the stack has no subscription, and messages that are published
    meanwhile are lost to this subscriber. See [Make a subscription again](runbook.md#make-a-subscription-again).
    """
    filter_policy: FilterPolicy | None = None
    """Messages to deliver. See [filter policies](#filter-policies). Without it, all messages are delivered."""
    filter_policy_scope: Literal["attributes", "body"] = "attributes"
    """Part of the message that the filter policy matches. `"body"` requires `publisher.offload = "never"`."""
    dead_letter_retention_days: RetentionDays = 14
    """Retention of the dead-letter queue and of the queue for undelivered messages. For `sqs`, more than
    `queue_retention_days`.
    """


Application = Literal["state_machine", "ecs_task", "function", "queue"]


class BaseFunctionSubscriberConfig(BaseSubscriberConfig):
    """Keys of subscribers of kind `sqs` and `lambda`, whose application is chosen apart from the kind."""

    if TYPE_CHECKING:  # each kind has another default
        application: Application
    function_timeout_seconds: int = Field(default=300, ge=30, le=900)
    """Timeout of the consume function. Without `code` it reads no payload, so that its time does not depend on sizes.
    With `code`, it must be enough for a batch: `batch_size` times `code.timeout_seconds`, and 30 seconds.
    """
    code: CodeConfig | None = None
    """Own code that the consume function calls with each message before the hand-off."""
    landing: LandingConfig | None = None
    """A copy of each payload in a bucket of the subscriber."""
    pipeline: Name | None = None
    """Name of one of `[[research.pipelines]]`, which is started with each payload. Requires `application =
    "state_machine"`. Subscriber and research environment must share account and Region.
    """
    state_machine: StateMachineConfig | None = None
    """A state machine in place of the built-in one."""
    task: EcsTaskConfig = EcsTaskConfig()
    """The ECS task that runs for each message."""
    network: NetworkConfig | None = None
    """Existing subnets for the task. In us-west-1, ap-northeast-1 and cn-north-1, in zones with Fargate."""

    @property
    def hands_off(self) -> bool:
        """Whether the application gets a pointer from the consume function."""
        return self.application in ("state_machine", "ecs_task")


class SqsSubscriberConfig(BaseFunctionSubscriberConfig):
    """`[[subscribers]]` with `kind = "sqs"`: a queue, by default with a function that polls it and a state machine."""

    kind: Literal["sqs"]
    """A queue. A function polls it, unless `application = "queue"`."""
    application: Application = "state_machine"
    """Receiver of each payload: a Step Functions execution, an ECS task, own code alone, or the subscriber's service,
    which polls the queue. See [applications](#applications).
    """
    batch_size: int = Field(default=5, ge=1, le=10)
    """Maximum number of messages for an invocation of the consume function. They are processed one after another."""
    maximum_concurrency: int = Field(default=10, ge=2, le=1000)
    """Maximum number of concurrent invocations of the consume function."""
    maximum_receives: int = Field(default=5, ge=1, le=1000)
    """Number of a message's attempts, after which it is a dead letter. All receives must take less than
    `queue_retention_days`. In a FIFO queue a message is also received with a failing one of its group. That is no
    attempt, and SQS allows `batch_size` times as many receives.
    """
    queue_retention_days: RetentionDays = 4
    """Retention of the queue."""
    visibility_timeout_seconds: int | None = Field(default=None, ge=30, le=43_200)
    """Time a received message is hidden from other receivers. Default and minimum: six times
    `function_timeout_seconds`. With less, a message could be received again while it is processed. With `application =
    "queue"` there is no minimum, and the default is 300.
    """
    reader_principals: Annotated[Array[RoleArn], Unique] = ()
    """With `application = "queue"`: roles of the account that may assume the reader role. Without any, the account's
    own policies decide.
    """

    @property
    def is_polled(self) -> bool:
        """Whether the subscriber's own service polls the queue."""
        return self.application == "queue"

    def receives(self, *, fifo: bool) -> int:
        """Return the number of receives after which SQS moves a message to the dead-letter queue.

        Behind each of the earlier messages of a FIFO batch, a message is received `maximum_receives` times.
        """
        return min(1000, self.maximum_receives * (self.batch_size if fifo and not self.is_polled else 1))

    @property
    def visibility_timeout(self) -> int:
        """Seconds for which a received message is hidden from other receivers."""
        return self.visibility_timeout_seconds or (300 if self.is_polled else 6 * self.function_timeout_seconds)


class LambdaSubscriberConfig(BaseFunctionSubscriberConfig):
    """`[[subscribers]]` with `kind = "lambda"`: a function subscribed to the topic, by default with an ECS task."""

    kind: Literal["lambda"]
    """A function subscribed to the topic."""
    application: Application = "ecs_task"
    """Receiver of each payload. See [applications](#applications). Not `"queue"`."""
    maximum_concurrency: int | None = Field(default=None, ge=1, le=10_000)
    """Reserved concurrency of the consume function. Lambda queues further messages for up to six hours, then they are
    dead letters. Without it, the account's concurrency is the limit. See [reserved concurrency](#reserved-concurrency).
    """


class HttpsSubscriberConfig(BaseSubscriberConfig):
    """`[[subscribers]]` with `kind = "https"`: an HTTPS endpoint, which reads payloads as a role of the account."""

    kind: Literal["https"]
    """An [HTTPS endpoint](https-endpoints.md), on AWS or elsewhere."""
    endpoint: EndpointUrl
    """URL that SNS posts to. It must be reachable from the internet and contain no credentials. Each endpoint can be
    subscribed once. All endpoints together have at most 6,000 characters, because the topic's policy names them.
    """
    reader_principals: Annotated[Array[RoleArn], Unique] = ()
    """Roles of the account that may assume the reader role. Without any, the account's own policies decide."""


FunctionSubscriberConfig = SqsSubscriberConfig | LambdaSubscriberConfig
"""Subscribers with a consume function, a staging bucket and a dead-letter queue."""
SubscriberConfig = SqsSubscriberConfig | LambdaSubscriberConfig | HttpsSubscriberConfig
