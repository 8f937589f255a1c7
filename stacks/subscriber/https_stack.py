"""A subscriber with an HTTPS endpoint, on AWS or elsewhere: topic -> endpoint.

The stack has a role that reads payloads, and the queue for messages that SNS could not deliver.
"""

import json

from aws_cdk import CfnOutput, Environment, Stack
from constructs import Construct

from stacks.common.alarms import Alarms
from stacks.common.defaults import Defaults
from stacks.deployment import HttpsSubscriberConfig
from stacks.deployment.names import SubscriberNames
from stacks.deployment.subscriber import DELIVERY_POLICY
from stacks.subscriber.reader import Reader
from stacks.subscriber.subscription import Subscription


class HttpsSubscriberStack(Stack):
    """The stack of a subscriber with an HTTPS endpoint, in the topic's Region.

    Deploy it after the publisher's stack, when the server is running: SNS asks the endpoint to confirm the
    subscription. CloudFormation does not wait for the confirmation.
    """

    def __init__(
        self, scope: Construct, names: SubscriberNames, *, settings: HttpsSubscriberConfig, defaults: Defaults
    ) -> None:
        super().__init__(
            scope,
            names.stack,
            env=Environment(account=names.place.account, region=names.publisher.place.region),
            description="coatcheck: a role and a queue for an HTTPS endpoint that receives messages of any size.",
        )
        reader = Reader(
            self,
            "Reader",
            names=names,
            principals=settings.reader_principals,
            description=f"Assumed by the HTTPS endpoint {settings.endpoint} to read payloads.",
        )
        alarms = Alarms(self, "Alarms", defaults=defaults)
        subscription = Subscription(
            self,
            "Subscription",
            names=names,
            settings=settings,
            raw=False,  # SNS signs only its envelope
            delivery_policy=DELIVERY_POLICY,
            alarms=alarms,
            defaults=defaults,
        )
        subscription.undelivered_queue.grant_consume_messages(reader)
        alarms.add_dashboard(f"Stores messages that SNS could not deliver to `{settings.endpoint}`.")

        stores = json.dumps([store.to_dict() for store in names.trusted_stores])
        for output, value, description in (
            ("ReaderRoleArn", reader.role_arn, "The role that the endpoint's process assumes."),
            ("TopicArn", names.publisher.topic.arn, "The only topic whose notifications the endpoint accepts."),
            ("TrustedStores", stores, "The stores from which the endpoint may read payloads."),
            ("UndeliveredQueueUrl", subscription.undelivered_queue.queue_url, "Messages that SNS could not deliver."),
        ):
            CfnOutput(self, output, value=value, description=description)
