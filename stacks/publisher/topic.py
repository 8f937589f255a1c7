"""The topic that carries messages."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks import cross_account
from stacks.common.topic import PrivateTopic
from stacks.deployment.names import Names
from stacks.deployment.publisher import SNS_DEFAULT_MAXIMUM_BYTES, PublisherConfig

_LOGGED = {"sqs": "sqs", "lambda": "lambda", "https": "http/s"}
"""SNS's names of protocols in its delivery status log."""


class MessageTopic(PrivateTopic):
    """The topic, to which each subscriber's account may subscribe its own endpoint."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: Names,
        key: kms.IKey,
        settings: PublisherConfig,
        organization: str | None,
    ) -> None:
        topic, subscribers = names.publisher.topic, names.subscribers.values()
        super().__init__(scope, id, topic_name=topic.name, key=key)
        cfn = self.node.default_child
        assert isinstance(cfn, sns.CfnTopic)
        # The maximum stays at SNS's default if the threshold is lower: a pointer with its attributes, or a batch, can
        # be larger than the threshold. Outside the partition `aws`, it is not known that SNS has the attribute.
        if settings.maximum_message_bytes > SNS_DEFAULT_MAXIMUM_BYTES or names.publisher.place.partition == "aws":
            cfn.maximum_message_size = max(settings.maximum_message_bytes, SNS_DEFAULT_MAXIMUM_BYTES)
        if settings.delivery_log_percent is not None:
            self._log_deliveries(cfn, names, settings.delivery_log_percent)
        for subscriber in subscribers:
            self.add_to_resource_policy(cross_account.subscribe(topic, subscriber, organization=organization))
        self.add_to_resource_policy(cross_account.deny_unknown_endpoints(topic, subscribers))

    def _log_deliveries(self, topic: sns.CfnTopic, names: Names, percent: int) -> None:
        """Log deliveries in two groups, whose names SNS determines: successful and failed ones."""
        place = names.publisher.place
        group = f"sns/{place.region}/{place.account}/{names.publisher.topic.name}"
        # Without aws:SourceAccount: it is not documented that SNS sends it when it writes the log.
        role = iam.Role(self, "LogRole", assumed_by=iam.ServicePrincipal("sns.amazonaws.com"))
        for id, name in {"Delivered": group, "Failed": f"{group}/Failure"}.items():
            logs.LogGroup(self, id, log_group_name=name, removal_policy=RemovalPolicy.DESTROY).grant_write(role)
        topic.delivery_status_logging = [
            sns.CfnTopic.LoggingConfigProperty(
                protocol=protocol,
                failure_feedback_role_arn=role.role_arn,
                success_feedback_role_arn=role.role_arn,
                success_feedback_sample_rate=str(percent),
            )
            for protocol in sorted({_LOGGED[subscriber.kind] for subscriber in names.subscribers.values()})
        ]
