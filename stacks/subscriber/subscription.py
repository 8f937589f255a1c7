"""The subscription to the topic, and the queue for messages that SNS could not deliver."""

import json
from collections.abc import Mapping

from aws_cdk import Environment, Stack
from aws_cdk import aws_sns as sns
from constructs import Construct, IDependable

from stacks import cross_account
from stacks.common.alarms import Alarms
from stacks.common.dashboard import queue_graph
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.deployment import SubscriberConfig
from stacks.deployment.names import SubscriberNames

_SCOPES = {"attributes": "MessageAttributes", "body": "MessageBody"}


class Subscription(Construct):
    """A subscription and its undelivered queue.

    SNS rejects the subscription until the publisher's stack allows it.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: SubscriberNames,
        settings: SubscriberConfig,
        raw: bool,
        delivery_policy: Mapping[str, object] | None = None,
        alarms: Alarms,
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id)
        publisher = names.publisher
        self._subscriptions = (
            [
                sns.CfnSubscription(
                    self,
                    "Resource",
                    topic_arn=publisher.topic.arn,
                    region=publisher.place.region,  # a subscription is in its topic's Region
                    protocol=names.kind,
                    endpoint=names.endpoint,
                    raw_message_delivery=raw or None,
                    delivery_policy=delivery_policy,
                    filter_policy=json.loads(settings.filter_policy) if settings.filter_policy else None,
                    # Always present: if it left the template together with the policy, CloudFormation would set it to
                    # null, and SNS rejects null. (cloudformation-coverage-roadmap #1840, open.)
                    filter_policy_scope=_SCOPES[settings.filter_policy_scope],
                    redrive_policy={"deadLetterTargetArn": names.undelivered_queue.arn},
                )
            ]
            if settings.subscribed
            else []
        )
        stack = Stack.of(self)
        second = None if stack.region == publisher.place.region else _second_stack(stack, names)
        self.undelivered_queue = DeadLetterQueue(
            second or self,
            "UndeliveredQueue",
            queue_name=names.undelivered_queue.name,
            retention_days=settings.dead_letter_retention_days,
            defaults=defaults,
        )
        cross_account.allow_delivery(publisher, self.undelivered_queue)
        if second:
            stack.add_stack_dependency(second)
            # CloudWatch requires the alarm in the queue's Region. The dashboard shows both Regions.
            Alarms(second, "Alarms", defaults=defaults).add_dead_letter_alarm("Undelivered", self.undelivered_queue)
            alarms.add_graph(
                queue_graph("Undelivered", queue_name=names.undelivered_queue.name, region=publisher.place.region)
            )
        else:
            self.add_endpoint(self.undelivered_queue)
            alarms.add_dead_letter_alarm("Undelivered", self.undelivered_queue)

    def add_endpoint(self, endpoint: IDependable) -> None:
        """Create the subscription after a part of its endpoint."""
        for subscription in self._subscriptions:
            subscription.node.add_dependency(endpoint)


def _second_stack(stack: Stack, names: SubscriberNames) -> Stack:
    """Return a stack in the topic's Region, where SNS requires the undelivered queue.

    `cdk deploy` of the subscriber's stack deploys it first.
    """
    app = stack.node.scope
    assert isinstance(app, Construct)
    return Stack(
        app,
        names.undelivered_stack,
        env=Environment(account=names.place.account, region=names.publisher.place.region),
        description=f"coatcheck: messages that SNS could not deliver to {names.stack}, in the topic's Region.",
    )
