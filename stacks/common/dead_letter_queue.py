"""A queue for messages nobody could handle; `stacks.common.alarms` watches it."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.common.acknowledgement import acknowledge


class DeadLetterQueue(sqs.Queue):
    """Encrypted, TLS only."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        queue_name: str,
        retention: Duration,
        removal_policy: RemovalPolicy,
    ) -> None:
        super().__init__(
            scope,
            id,
            queue_name=queue_name,
            # Left out rather than false: CloudFormation takes FifoQueue = true or nothing.
            fifo=True if queue_name.endswith(".fifo") else None,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=retention,
            removal_policy=removal_policy,
        )
        acknowledge(
            self,
            {
                "AwsSolutions-SQS3": "Takes what a rule, a function or a subscription could not deliver; "
                "cdk-nag sees that of queues alone."
            },
        )
