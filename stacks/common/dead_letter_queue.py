"""A dead-letter queue. `alarms.py` adds its alarm."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.common.defaults import Defaults
from stacks.common.findings import acknowledge
from stacks.common.stack_key import stack_key


class DeadLetterQueue(sqs.Queue):
    """An encrypted queue whose policy denies requests without TLS."""

    def __init__(self, scope: Construct, id: str, *, queue_name: str, retention_days: int, defaults: Defaults) -> None:
        self.literal_name = queue_name
        """The name as text. CDK's `queue_name` is a token, which CloudFormation resolves."""
        self.retention_days = retention_days
        self.key = stack_key(scope, defaults)
        """The key of the queue, or None for SQS's own key."""
        super().__init__(
            scope,
            id,
            queue_name=queue_name,
            # None, not False, for a standard queue: CloudFormation accepts FifoQueue = true or no value.
            fifo=True if queue_name.endswith(".fifo") else None,
            encryption=sqs.QueueEncryption.KMS if self.key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=self.key,
            enforce_ssl=True,
            retention_period=Duration.days(retention_days),
            removal_policy=defaults.removal_policy,
        )
        acknowledge(
            self,
            {
                "AwsSolutions-SQS3": "This is the dead-letter queue of a rule, a function or a subscription. cdk-nag "
                "recognises only those of queues."
            },
        )
