"""A subscriber with a queue: topic -> queue -> function -> state machine."""

from aws_cdk import CfnOutput, Duration, Environment, Stack
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from consume_queue.settings import Settings
from stacks.common.alarms import Alarms
from stacks.common.dashboard import traffic_graph
from stacks.common.defaults import Defaults
from stacks.deployment import SqsSubscriberConfig
from stacks.deployment.names import LANDED, ResearchNames, SubscriberNames
from stacks.subscriber.consumer import Consumer
from stacks.subscriber.event_bus import SubscriberBus
from stacks.subscriber.landing_bucket import LandingBucket
from stacks.subscriber.pipeline_trigger import PipelineTrigger
from stacks.subscriber.queue import Queue
from stacks.subscriber.state_machine import StateMachine
from stacks.subscriber.subscription import Subscription


class SqsSubscriberStack(Stack):
    """The stack of a subscriber with a queue. It is deployed after the publisher's stack.

    It has no termination protection: if it is deployed before the publisher's stack, it fails, and must be deletable.
    """

    def __init__(
        self,
        scope: Construct,
        names: SubscriberNames,
        *,
        settings: SqsSubscriberConfig,
        lifetime_days: int,
        research: ResearchNames | None,
        defaults: Defaults,
    ) -> None:
        super().__init__(
            scope,
            names.stack,
            env=Environment(account=names.place.account, region=names.place.region),
            description="coatcheck: receives messages of any size through a queue, starts a state machine with each.",
        )
        alarms = Alarms(self, "Alarms", defaults=defaults)
        # Raw delivery: the queue has the publisher's message with its attributes, which every claim-check client reads.
        subscription = Subscription(
            self, "Subscription", names=names, settings=settings, raw=True, alarms=alarms, defaults=defaults
        )
        consumer = Consumer(
            self, "Consumer", names=names, settings=settings, lifetime_days=lifetime_days, defaults=defaults
        )
        queue = Queue(
            self, "Queue", names=names, settings=settings, dead_letters=consumer.dead_letters, defaults=defaults
        )
        subscription.add_endpoint(queue)
        bus = SubscriberBus(self, "EventBus", names=names, defaults=defaults)
        landing = (
            LandingBucket(self, "Landing", names=names, settings=settings.landing, consumer=consumer, defaults=defaults)
            if settings.landing
            else None
        )
        state_machine = StateMachine(
            self,
            "StateMachine",
            names=names,
            settings=settings.state_machine,
            bus=bus,
            landing=landing,
            defaults=defaults,
        )
        consume = consumer.add_function(
            package="consume_queue",
            environment=Settings(
                trusted_stores=names.trusted_stores,
                staging_store=names.staging_store,
                state_machine_arn=state_machine.state_machine_arn,
                dead_letter_queue_url=consumer.dead_letters.queue_url,
                maximum_receives=settings.maximum_receives,
            ).to_environment(),
        )
        state_machine.grant_start(consume.execution_role)
        consumer.dead_letters.grant_send_messages(consume)
        consume.add_event_source(
            event_sources.SqsEventSource(
                queue,
                batch_size=settings.batch_size,
                max_concurrency=settings.maximum_concurrency,
                report_batch_item_failures=True,
            )
        )
        alarms.add_dead_letter_alarm("DeadLetters", consumer.dead_letters)
        all_receives = Duration.seconds(settings.maximum_receives * settings.visibility_timeout)
        alarms.add_queue_alarm(queue, queue_name=names.queue.name, threshold=all_receives)
        alarms.add_function_alarms("Consume", consume)
        alarms.add_stopped_alarm(consume, queue=queue)
        alarms.add_error_alarms(consume)
        alarms.add_execution_alarms(state_machine)
        CfnOutput(self, "EventBusArn", value=bus.event_bus_arn, description="The bus for events about each payload.")
        if landing:
            alarms.add_function_alarms("Copy", landing.copy_function)
            CfnOutput(
                self,
                "LandingBucketName",
                value=landing.bucket.bucket_name,
                description=f"The bucket with a copy of each payload: {LANDED}<message id>.",
            )
        if settings.pipeline:
            assert research, "checked with the deployment file"
            trigger = PipelineTrigger(
                self,
                "PipelineTrigger",
                names=names,
                settings=settings,
                pipeline=settings.pipeline,
                research=research,
                consumer=consumer,
                bus=bus,
                defaults=defaults,
            )
            alarms.add_function_alarms("PipelineTrigger", trigger.function, dead_letters=trigger.dead_letters)
            alarms.add_dead_letter_alarm("PipelineTriggerDeadLetters", trigger.dead_letters)
        alarms.add_rule_alarms(bus.forwarding_rules)
        alarms.add_graph(traffic_graph(consume, "ConsumedBytes", "ProcessingTime", "DeliveryLatency"))
        alarms.add_dashboard("Receives messages through a queue and starts an execution for each.")
