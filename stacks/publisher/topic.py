"""The topic that carries messages."""

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks import cross_account
from stacks.common.topic import PrivateTopic
from stacks.deployment.names import Names
from stacks.deployment.publisher import SNS_DEFAULT_MAXIMUM_BYTES, PublisherConfig


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
        # be larger than the threshold.
        cfn.maximum_message_size = max(settings.maximum_message_bytes, SNS_DEFAULT_MAXIMUM_BYTES)
        for subscriber in subscribers:
            self.add_to_resource_policy(cross_account.subscribe(topic, subscriber, organization=organization))
        self.add_to_resource_policy(cross_account.deny_unknown_endpoints(topic, subscribers))
