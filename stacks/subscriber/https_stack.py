"""A subscriber that is a web server: topic -> HTTPS endpoint, wherever it runs.

What is here is what it needs of AWS: a role to read payloads as, and a queue for what SNS could not deliver.
"""

import json

from aws_cdk import CfnOutput
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.deployment import Deployment, HttpsSubscriberConfig, names
from stacks.deployment.stores import trusted_stores
from stacks.subscriber.subscriber import SubscriberStack

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
"""Delays in seconds. SNS allows an hour of waiting in all, and by default makes three tries within a minute, which the
restart of a server can take. This waits 3 x 5 + 25 x 120 = 3,015 at most; with 15 for each answer that does not come it
ends within an hour, while an endpoint still takes the notification for a recent one (`claim_check.https.WINDOW`)."""


class HttpsSubscriberStack(SubscriberStack):
    """Deployed after the publisher's stack, in the topic's Region, when the server answers already: SNS asks it to
    confirm the subscription. CloudFormation does not wait for that."""

    def __init__(self, scope: Construct, deployment: Deployment, subscriber: HttpsSubscriberConfig) -> None:
        super().__init__(
            scope,
            deployment,
            subscriber,
            region=deployment.publisher.region,
            description="coatcheck: what an HTTPS endpoint needs to receive messages of any size.",
        )
        account: iam.IPrincipal = iam.AccountPrincipal(subscriber.account)
        if subscriber.reader_principals:
            # By condition: a principal that does not exist yet, or is made anew, would break the policy.
            account = iam.PrincipalWithConditions(
                account, {"ArnEquals": {"aws:PrincipalArn": list(subscriber.reader_principals)}}
            )
        reader = iam.Role(
            self,
            "Reader",
            role_name=names.reader_role(deployment, subscriber),
            description=f"Taken on by the process behind {subscriber.endpoint} to read payloads."[:1000],
            assumed_by=account,
        )
        self.grant_read_payloads(reader)
        # Not raw: only the envelope is signed.
        self.subscribe(raw=False, delivery_policy=DELIVERY_POLICY)
        self.undelivered_queue.grant_consume_messages(reader)
        self.alarms.add_dashboard(f"Stores messages that SNS could not deliver to `{subscriber.endpoint}`.")

        for output, value, what in (
            ("ReaderRoleArn", reader.role_arn, "The role that the endpoint's process takes on."),
            ("TopicArn", names.topic_arn(deployment), "The only topic it takes notifications from."),
            ("TrustedStores", json.dumps(trusted_stores(deployment, subscriber)), "Where it may read payloads."),
            ("UndeliveredQueueUrl", self.undelivered_queue.queue_url, "Where it finds what SNS could not deliver."),
        ):
            CfnOutput(self, output, value=value, description=what)
