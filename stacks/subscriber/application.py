"""The application of a subscriber: the resources to which the consume function hands off.

A stack of either kind adds one. `environment` has the variables of its consume function, and `connect` the permissions.
"""

from collections.abc import Mapping
from typing import Protocol

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_dynamodb as dynamodb

from consume.settings import EcsTaskSettings, FunctionSettings, StateMachineSettings
from stacks.common.alarms import Alarms
from stacks.common.function import Function
from stacks.common.grants import allow
from stacks.deployment import FunctionSubscriberConfig
from stacks.deployment.names import LANDED
from stacks.deployment.payload_lifetime import days_until_forgotten
from stacks.subscriber.consumer import Consumer
from stacks.subscriber.ecs_task import EcsTask
from stacks.subscriber.event_bus import SubscriberBus
from stacks.subscriber.landing_bucket import LandingBucket
from stacks.subscriber.pipeline_trigger import PipelineTrigger
from stacks.subscriber.stack import Subscriber
from stacks.subscriber.state_machine import StateMachine


class Application(Protocol):
    """The resources of an application. `purpose` completes the sentence "The function … with each payload."."""

    purpose: str

    @property
    def environment(self) -> Mapping[str, str]:
        """The consume function's variables for the application."""
        ...

    def connect(self, consume: Function, alarms: Alarms) -> None:
        """Allow the consume function to hand off, and add the application's alarms."""
        ...


def add_application(stack: Stack, subscriber: Subscriber[FunctionSubscriberConfig], consumer: Consumer) -> Application:
    """Add the application that the deployment file chooses to a stack."""
    match subscriber.settings.application:
        case "state_machine":
            return StateMachineApplication(stack, subscriber, consumer)
        case "ecs_task":
            return EcsTaskApplication(stack, subscriber, consumer)
        case "function":
            return OwnCodeAlone()
        case "queue":
            raise AssertionError("a polled queue has no consume function")


class StateMachineApplication:
    """A state machine and the subscriber's bus; optionally a landing bucket and the trigger of a pipeline."""

    purpose = "starts a Step Functions execution"

    def __init__(self, stack: Stack, subscriber: Subscriber[FunctionSubscriberConfig], consumer: Consumer) -> None:
        names, settings, defaults = subscriber.names, subscriber.settings, subscriber.defaults
        self._stack = stack
        self._bus = SubscriberBus(stack, "EventBus", names=names, defaults=defaults)
        self._landing = (
            LandingBucket(
                stack, "Landing", names=names, settings=settings.landing, consumer=consumer, defaults=defaults
            )
            if settings.landing
            else None
        )
        self._machine = StateMachine(
            stack,
            "StateMachine",
            names=names,
            settings=settings.state_machine,
            bus=self._bus,
            landing=self._landing,
            defaults=defaults,
        )
        self._trigger = None
        if settings.pipeline:
            assert subscriber.research, "checked with the deployment file"
            self._trigger = PipelineTrigger(
                stack,
                "PipelineTrigger",
                subscriber,
                pipeline=settings.pipeline,
                research=subscriber.research,
                consumer=consumer,
                bus=self._bus,
            )
        self.environment = StateMachineSettings(
            staging_store=names.staging_store, state_machine_arn=self._machine.state_machine_arn
        ).to_environment()

    def connect(self, consume: Function, alarms: Alarms) -> None:
        """See `Application`."""
        self._machine.grant_start(consume.execution_role)
        alarms.add_execution_alarms(self._machine)
        bus, landing, trigger = self._bus, self._landing, self._trigger
        description = "The bus for events about each payload."
        CfnOutput(self._stack, "EventBusArn", value=bus.event_bus_arn, description=description)
        if landing:
            alarms.add_function_alarms("Copy", landing.copy_function)
            CfnOutput(
                self._stack,
                "LandingBucketName",
                value=landing.bucket.bucket_name,
                description=f"The bucket with a copy of each payload: {LANDED}<message id>.",
            )
        if trigger:
            alarms.add_function_alarms("PipelineTrigger", trigger.function, dead_letters=trigger.dead_letters)
            alarms.add_dead_letter_alarm("PipelineTriggerDeadLetters", trigger.dead_letters)
        alarms.add_rule_alarms(bus.forwarding_rules)


class EcsTaskApplication:
    """An ECS task, and the table of the tasks that were started."""

    purpose = "runs an ECS task"

    def __init__(self, stack: Stack, subscriber: Subscriber[FunctionSubscriberConfig], consumer: Consumer) -> None:
        names, settings, defaults = subscriber.names, subscriber.settings, subscriber.defaults
        self._names, self._dead_letters = names, consumer.dead_letters
        self._task = task = EcsTask(
            stack,
            "Task",
            names=names,
            task=settings.task,
            network=settings.network,
            consumer=consumer,
            defaults=defaults,
        )
        # ECS's client token expires within a day, and a dead letter can be redriven weeks later.
        self._table = dynamodb.TableV2(
            stack,
            "IdempotencyTable",
            table_name=names.idempotency_table.name,  # a stack that is deployed again can import the retained table
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing=dynamodb.Billing.on_demand(),
            time_to_live_attribute="expiration",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=defaults.removal_policy,
        )
        days = days_until_forgotten(settings, payload_lifetime_days=subscriber.lifetime_days)
        self.environment = EcsTaskSettings(
            staging_store=names.staging_store,
            cluster_arn=task.cluster.cluster_arn,
            task_definition_arn=task.definition.task_definition_arn,
            container=task.container.container_name,
            network=task.network.configuration,
            idempotency_table=self._table.table_name,
            idempotency_seconds=days * 86_400,
        ).to_environment()

    def connect(self, consume: Function, alarms: Alarms) -> None:
        """See `Application`."""
        self._table.grant(consume, "dynamodb:GetItem", "dynamodb:PutItem")
        self._task.definition.grant_run(consume)
        # The function recognises tasks that were started with an earlier task definition.
        allow(
            consume.execution_role,
            sid="DescribeTasks",
            actions=["ecs:DescribeTasks"],
            resources=[self._names.tasks_arn],
            wildcards="A task has no name before it runs.",
        )
        failed_tasks = self._task.add_failed_tasks_rule(self._dead_letters)
        alarms.add_rule_alarms({"TaskFailuresLost": failed_tasks}, queue=self._dead_letters.literal_name)


class OwnCodeAlone:
    """No resources: the consume function's own code is the application."""

    purpose = "calls own code"

    def __init__(self) -> None:
        self.environment = FunctionSettings().to_environment()

    def connect(self, consume: Function, alarms: Alarms) -> None:
        """See `Application`."""
