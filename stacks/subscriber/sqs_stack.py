"""A subscriber with a queue: topic -> queue -> function -> application, or the subscriber's own service."""

import json

from aws_cdk import CfnOutput, Duration
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from consume_queue.settings import Settings
from stacks.common.alarms import Alarms
from stacks.common.dashboard import traffic_graph
from stacks.deployment import SqsSubscriberConfig
from stacks.subscriber.application import Application, add_application
from stacks.subscriber.consumer import Consumer
from stacks.subscriber.queue import Queue
from stacks.subscriber.reader import Reader
from stacks.subscriber.stack import Subscriber, SubscriberStack
from stacks.subscriber.subscription import Subscription


class SqsSubscriberStack(SubscriberStack):
    """The stack of a subscriber of kind `sqs`."""

    def __init__(self, scope: Construct, subscriber: Subscriber[SqsSubscriberConfig]) -> None:
        names, settings, defaults = subscriber.names, subscriber.settings, subscriber.defaults
        super().__init__(scope, names, description="receives messages of any size through a queue.")
        self._names, self._settings = names, settings
        # With less than the queue's concurrency, throttled messages would become dead letters.
        reserved = bool(defaults.platform.reserved_concurrency)
        self._reserved_concurrency = settings.maximum_concurrency if reserved else None
        self._alarms = Alarms(self, "Alarms", defaults=defaults)
        # Raw delivery: the queue has the publisher's message with its attributes, which every claim-check client reads.
        subscription = Subscription(
            self, "Subscription", names=names, settings=settings, raw=True, alarms=self._alarms, defaults=defaults
        )
        consumer = Consumer(self, "Consumer", subscriber)
        queue = Queue(
            self, "Queue", names=names, settings=settings, dead_letters=consumer.dead_letters, defaults=defaults
        )
        subscription.add_endpoint(queue)
        self._alarms.add_dead_letter_alarm("DeadLetters", consumer.dead_letters)
        all_receives = Duration.seconds(settings.maximum_receives * settings.visibility_timeout)
        self._alarms.add_queue_alarm(queue, queue_name=names.queue.name, threshold=all_receives)
        if settings.is_polled:
            self._add_reader(consumer, queue)
            return
        application = add_application(self, subscriber, consumer)
        self._add_function(consumer, queue, application)

    def _add_function(self, consumer: Consumer, queue: Queue, application: Application) -> None:
        """Add the function that polls the queue."""
        names, settings, alarms = self._names, self._settings, self._alarms
        own = Settings(
            trusted_stores=names.trusted_stores,
            dead_letter_queue_url=consumer.dead_letters.queue_url,
            maximum_receives=settings.maximum_receives,
        ).to_environment()
        consume = consumer.add_function(
            package="consume_queue",
            environment={**own, **application.environment},
            reserved_concurrent_executions=self._reserved_concurrency,
        )
        consumer.dead_letters.grant_send_messages(consume)
        consume.add_event_source(
            event_sources.SqsEventSource(
                queue,
                batch_size=settings.batch_size,
                max_concurrency=settings.maximum_concurrency,
                report_batch_item_failures=True,
            )
        )
        alarms.add_function_alarms("Consume", consume)
        alarms.add_stopped_alarm(consume, queue=queue)
        alarms.add_error_alarms(consume)
        application.connect(consume, alarms)
        alarms.add_graph(traffic_graph(consume, "ConsumedBytes", "ProcessingTime", "DeliveryLatency"))
        alarms.add_dashboard(f"Receives messages through a queue. A function {application.purpose} with each.")

    def _add_reader(self, consumer: Consumer, queue: Queue) -> None:
        """Add the role with which the subscriber's service polls the queue and reads payloads."""
        names = self._names
        reader = Reader(
            consumer,
            # The path of a consume function's role, which has the same name: another application updates it in place.
            "FunctionRole",
            names=names,
            principals=self._settings.reader_principals,
            description=f"Assumed by the service that polls {names.queue.name}.",
        )
        queue.grant_consume_messages(reader)
        consumer.dead_letters.grant_send_messages(reader)
        self._alarms.add_service_alarm(queue, queue_name=names.queue.name, role=names.reader_role.name)
        self._alarms.add_dashboard("Receives messages in a queue, which the subscriber's service polls.")
        stores = json.dumps([store.to_dict() for store in names.trusted_stores])
        for output, value, description in (
            ("ReaderRoleArn", reader.role_arn, "The role that the service assumes."),
            ("QueueUrl", queue.queue_url, "The queue that the service polls."),
            ("TrustedStores", stores, "The stores from which the service may read payloads."),
            ("DeadLetterQueueUrl", consumer.dead_letters.queue_url, "Messages that the service could not process."),
        ):
            CfnOutput(self, output, value=value, description=description)
