"""A queue for messages nobody could handle, and the alarm that says there are some."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.acknowledgement import acknowledge


class DeadLetterQueue(sqs.Queue):
    """Encrypted, TLS only. `id` also names its alarm, `<id>NotEmpty`."""

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
        self.metric_approximate_number_of_messages_visible(
            statistic=cloudwatch.Stats.MAXIMUM, period=Duration.minutes(1)
        ).create_alarm(
            scope,
            f"{id}NotEmpty",
            alarm_description=f"{queue_name} holds messages that could not be handled.",
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
