"""A subscriber with a function subscribed directly: topic -> function -> application."""

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from consume_topic.settings import Settings
from stacks.common.alarms import Alarms
from stacks.common.dashboard import traffic_graph
from stacks.deployment import LambdaSubscriberConfig
from stacks.subscriber.application import add_application
from stacks.subscriber.consumer import Consumer
from stacks.subscriber.stack import Subscriber, SubscriberStack
from stacks.subscriber.subscription import Subscription


class LambdaSubscriberStack(SubscriberStack):
    """The stack of a subscriber of kind `lambda`."""

    def __init__(self, scope: Construct, subscriber: Subscriber[LambdaSubscriberConfig]) -> None:
        names, settings, defaults = subscriber.names, subscriber.settings, subscriber.defaults
        super().__init__(scope, names, description="receives messages of any size in a function.")
        alarms = Alarms(self, "Alarms", defaults=defaults)
        subscription = Subscription(
            self, "Subscription", names=names, settings=settings, raw=False, alarms=alarms, defaults=defaults
        )
        consumer = Consumer(self, "Consumer", subscriber)
        application = add_application(self, subscriber, consumer)
        own = Settings(
            trusted_stores=names.trusted_stores, dead_letter_queue_url=consumer.dead_letters.queue_url
        ).to_environment()
        consume = consumer.add_function(
            package="consume_topic",
            environment={**own, **application.environment},
            reserved_concurrent_executions=settings.maximum_concurrency,
            on_failure=destinations.SqsDestination(consumer.dead_letters),
        )
        for number, service in enumerate(names.publisher.sns_principals(names.place.region)):
            permission = lambda_.CfnPermission(
                self,
                f"InvokeFromTopic{number or ''}",
                action="lambda:InvokeFunction",
                function_name=consume.function_arn,
                principal=service,
                source_arn=names.publisher.topic.arn,
            )
            subscription.add_endpoint(permission)

        alarms.add_dead_letter_alarm("DeadLetters", consumer.dead_letters)
        alarms.add_function_alarms(
            "Consume",
            consume,
            dead_letters=consumer.dead_letters,
            throttled_on_purpose=settings.maximum_concurrency is not None,
        )
        alarms.add_stopped_alarm(consume)
        alarms.add_error_alarms(consume)
        application.connect(consume, alarms)
        alarms.add_graph(traffic_graph(consume, "ConsumedBytes", "ProcessingTime", "DeliveryLatency"))
        alarms.add_dashboard(f"Receives messages in a function, which {application.purpose} with each.")
