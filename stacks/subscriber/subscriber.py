"""What subscribers have in common.

SubscriberStack: reading payloads, the subscription, the queue for what SNS cannot deliver.
FunctionSubscriberStack: with a function that dereferences, its inbox and its dead-letter queue.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from aws_cdk import Duration, Environment, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks import cross_account
from stacks.common.alarms import Alarms
from stacks.common.dashboard import queue_graph
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.function import Function
from stacks.common.grants import grant_put, grant_read
from stacks.deployment import Deployment, FunctionSubscriberConfig, SubscriberConfig, names
from stacks.deployment.stores import staging_store, trusted_stores
from stacks.subscriber.staging_bucket import StagingBucket


class SubscriberStack(Stack):
    """In the subscriber's account."""

    subscriber: SubscriberConfig

    def __init__(
        self, scope: Construct, deployment: Deployment, subscriber: SubscriberConfig, *, region: str, description: str
    ) -> None:
        super().__init__(
            scope,
            names.subscriber_stack(deployment, subscriber),
            env=Environment(account=subscriber.account, region=region),
            # No termination protection: a stack deployed before its publisher has to be deletable to be tried again.
            description=description,
        )
        self.deployment = deployment
        self.subscriber = subscriber
        self.defaults = Defaults.of(deployment)
        self.removal_policy = self.defaults.removal_policy
        all_names = names.Names(deployment)
        self.publisher_names, self.names = all_names.publisher, all_names.subscribers[subscriber.name]
        self.alarms = Alarms(self, "Alarms", defaults=self.defaults)
        self.undelivered_queue = self._undelivered_queue()

    def grant_read_payloads(self, role: iam.IRole) -> None:
        """The caller's side of the boundary: the one action on the one prefix, and the key behind it; of the payload
        bucket, and of a replica in this Region."""
        cross_account.grant_read_payloads(role, self.names, self.publisher_names)

    def subscribe(self, *, raw: bool, delivery_policy: Mapping[str, object] | None = None) -> sns.CfnSubscription:
        """Subscribe the contract's endpoint. Refused by SNS until the publisher's stack knows this subscriber."""
        subscription = sns.CfnSubscription(
            self,
            "Subscription",
            topic_arn=names.topic_arn(self.deployment),
            region=self.deployment.publisher.region,  # a subscription lives where its topic does
            protocol=self.subscriber.kind,
            endpoint=names.endpoint(self.deployment, self.subscriber),
            raw_message_delivery=raw or None,
            delivery_policy=delivery_policy,
            **_filter(self.subscriber),
            redrive_policy={"deadLetterTargetArn": names.undelivered_queue_arn(self.deployment, self.subscriber)},
        )
        if self.undelivered_queue.stack is self:
            subscription.node.add_dependency(self.undelivered_queue)
        else:
            self.add_stack_dependency(self.undelivered_queue.stack)
        return subscription

    def _undelivered_queue(self) -> DeadLetterQueue:
        """For what SNS cannot deliver. SNS wants it in the topic's Region, so a subscriber elsewhere has a second,
        small stack there; `cdk deploy` of the subscriber brings it along."""
        queue = DeadLetterQueue(
            _stack_in_topic_region(self),
            "Undelivered",
            queue_name=names.undelivered_queue(self.deployment, self.subscriber),
            retention_days=self.subscriber.dead_letter_retention_days,
            defaults=self.defaults,
        )
        queue.add_to_resource_policy(
            cross_account.deliver(
                self.publisher_names, queue_arn=queue.queue_arn, queue_region=self.deployment.publisher.region
            )
        )
        if queue.stack is self:
            self.alarms.add_undelivered_alarm(queue)
        else:
            # An alarm, and the topic it acts on, are where the queue is; the dashboard shows both Regions.
            Alarms(queue.stack, "Alarms", defaults=self.defaults).add_undelivered_alarm(queue)
            self.alarms.add_graph(
                queue_graph("Undelivered", queue_name=queue.literal_name, region=self.deployment.publisher.region)
            )
        return queue


class FunctionSubscriberStack(SubscriberStack):
    """In the subscriber's account and Region."""

    subscriber: FunctionSubscriberConfig

    def __init__(
        self, scope: Construct, deployment: Deployment, subscriber: FunctionSubscriberConfig, *, description: str
    ) -> None:
        super().__init__(scope, deployment, subscriber, region=subscriber.region, description=description)
        self.staging_bucket = StagingBucket(self, "StagingBucket", deployment=deployment, subscriber=subscriber)
        self.dead_letters = DeadLetterQueue(
            self,
            "DeadLetters",
            queue_name=names.dead_letter_queue(deployment, subscriber),
            retention_days=subscriber.dead_letter_retention_days,
            defaults=self.defaults,
        )
        self.alarms.add_dead_letter_alarm("DeadLetters", self.dead_letters)

    def consume_function(
        self,
        package: str,
        *,
        environment: Mapping[str, str],
        on_failure: lambda_.IDestination | None = None,
        reserved_concurrent_executions: int | None = None,
    ) -> Function:
        """The function that dereferences, as the reader role of the contract."""
        function = Function(
            self,
            "Consume",
            function_name=names.consume_function(self.deployment, self.subscriber),
            role_name=names.reader_role(self.deployment, self.subscriber),
            package=package,
            timeout=Duration.seconds(self.subscriber.function_timeout_seconds),
            environment={
                "TRUSTED_STORES": json.dumps(trusted_stores(self.deployment, self.subscriber)),
                "STAGING_STORE": json.dumps(staging_store(self.deployment, self.subscriber)),
                **environment,
            },
            on_failure=on_failure,
            reserved_concurrent_executions=reserved_concurrent_executions,
        )
        role = function.execution_role
        self.grant_read_payloads(role)
        grant_put(self.staging_bucket, role, names.INLINE)
        # To tell a retry from another payload of the same id.
        grant_read(self.staging_bucket, role, names.INLINE)
        return function


_SCOPES = {"attributes": "MessageAttributes", "body": "MessageBody"}


def _filter(subscriber: SubscriberConfig) -> dict[str, Any]:
    if subscriber.filter_policy is None:
        return {}
    return {
        "filter_policy": json.loads(subscriber.filter_policy),
        "filter_policy_scope": _SCOPES[subscriber.filter_policy_scope],
    }


def _stack_in_topic_region(stack: SubscriberStack) -> Stack:
    if stack.region == stack.deployment.publisher.region:
        return stack
    return Stack(
        cast(Construct, stack.node.scope),
        names.undelivered_stack(stack.deployment, stack.subscriber),
        env=Environment(account=stack.subscriber.account, region=stack.deployment.publisher.region),
        description=f"coatcheck: what could not be delivered to {stack.stack_name}, in the topic's Region.",
    )
