"""A topic that denies requests without TLS."""

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.common.grants import deny

ACTIONS = (
    "sns:AddPermission",
    "sns:DeleteTopic",
    "sns:GetTopicAttributes",
    "sns:ListSubscriptionsByTopic",
    "sns:Publish",
    "sns:RemovePermission",
    "sns:SetTopicAttributes",
    "sns:Subscribe",
)
"""The actions that a topic's policy can name; SNS rejects `sns:*`. (SNS developer guide, "Amazon SNS access control".)

CDK's `enforce_ssl` denies `sns:Publish` alone."""


class PrivateTopic(sns.Topic):
    """A topic whose policy denies all requests without TLS. Without `key`, SNS encrypts nothing."""

    def __init__(self, scope: Construct, id: str, *, topic_name: str, key: kms.IKey | None) -> None:
        super().__init__(
            scope,
            id,
            topic_name=topic_name,
            fifo=topic_name.endswith(".fifo") or None,
            master_key=key,
            signature_version="2",
        )
        insecure = {"aws:SecureTransport": "false"}
        self.add_to_resource_policy(deny("DenyInsecureTransport", ACTIONS, [self.topic_arn], Bool=insecure))
