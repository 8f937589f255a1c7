"""The queue before the consume function."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks import cross_account
from stacks.common.defaults import Defaults
from stacks.common.stack_key import stack_key
from stacks.deployment import SqsSubscriberConfig
from stacks.deployment.names import SubscriberNames


class Queue(sqs.Queue):
    """An encrypted queue that receives messages of the topic, and no others."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: SubscriberNames,
        settings: SqsSubscriberConfig,
        dead_letters: sqs.IQueue,
        defaults: Defaults,
    ) -> None:
        key = stack_key(scope, defaults)
        super().__init__(
            scope,
            id,
            queue_name=names.queue.name,
            fifo=names.queue.name.endswith(".fifo") or None,
            encryption=sqs.QueueEncryption.KMS if key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=key,
            enforce_ssl=True,
            retention_period=Duration.days(settings.queue_retention_days),
            visibility_timeout=Duration.seconds(settings.visibility_timeout),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=dead_letters, max_receive_count=settings.receives(fifo=names.queue.name.endswith(".fifo"))
            ),
            removal_policy=defaults.removal_policy,
        )
        cross_account.allow_delivery(names.publisher, self)
