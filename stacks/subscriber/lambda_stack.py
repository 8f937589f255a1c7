"""A subscriber with a function subscribed directly: topic -> function -> ECS task."""

from aws_cdk import Duration, Environment, Fn, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from consume_topic.settings import Settings
from stacks.common.alarms import Alarms
from stacks.common.dashboard import traffic_graph
from stacks.common.defaults import Defaults
from stacks.common.grants import allow
from stacks.deployment import LambdaSubscriberConfig
from stacks.deployment.names import SubscriberNames
from stacks.deployment.payload_lifetime import days_until_forgotten
from stacks.subscriber.consumer import Consumer
from stacks.subscriber.ecs_task import EcsTask
from stacks.subscriber.subscription import Subscription


class LambdaSubscriberStack(Stack):
    """The stack of a subscriber with a function. It is deployed after the publisher's stack.

    It has no termination protection: if it is deployed before the publisher's stack, it fails, and must be deletable.
    """

    def __init__(
        self,
        scope: Construct,
        names: SubscriberNames,
        *,
        settings: LambdaSubscriberConfig,
        lifetime_days: int,
        defaults: Defaults,
    ) -> None:
        super().__init__(
            scope,
            names.stack,
            env=Environment(account=names.place.account, region=names.place.region),
            description="coatcheck: receives messages of any size in a function, runs an ECS task with each.",
        )
        alarms = Alarms(self, "Alarms", defaults=defaults)
        subscription = Subscription(
            self, "Subscription", names=names, settings=settings, raw=False, alarms=alarms, defaults=defaults
        )
        consumer = Consumer(
            self, "Consumer", names=names, settings=settings, lifetime_days=lifetime_days, defaults=defaults
        )
        task = EcsTask(
            self,
            "Task",
            names=names,
            task=settings.task,
            network=settings.network,
            consumer=consumer,
            defaults=defaults,
        )
        # ECS's client token expires within a day, and a dead letter can be redriven weeks later.
        table = dynamodb.TableV2(
            self,
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
        idempotency = Duration.days(days_until_forgotten(settings, payload_lifetime_days=lifetime_days))
        consume = consumer.add_function(
            package="consume_topic",
            environment=Settings(
                trusted_stores=names.trusted_stores,
                staging_store=names.staging_store,
                cluster_arn=task.cluster.cluster_arn,
                task_definition_arn=task.definition.task_definition_arn,
                container=task.container.container_name,
                network=task.network.configuration,
                idempotency_table=table.table_name,
                idempotency_seconds=int(idempotency.to_seconds()),
            ).to_environment(),
            reserved_concurrent_executions=settings.maximum_concurrency,
            on_failure=destinations.SqsDestination(consumer.dead_letters),
        )
        table.grant(consume, "dynamodb:GetItem", "dynamodb:PutItem")
        task.definition.grant_run(consume)
        # The function recognises tasks that were started with an earlier task definition.
        allow(
            consume.execution_role,
            sid="DescribeTasks",
            actions=["ecs:DescribeTasks"],
            resources=[names.tasks_arn],
            wildcards="A task has no name before it runs.",
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
        failed_tasks = task.add_failed_tasks_rule(consumer.dead_letters)
        alarms.add_rule_alarms({"TaskFailuresLost": failed_tasks}, queue=consumer.dead_letters.literal_name)
        alarms.add_graph(traffic_graph(consume, "ConsumedBytes", "ProcessingTime", "DeliveryLatency"))
        alarms.add_dashboard("Receives messages in a function and runs an ECS task for each.")

    @property
    def availability_zones(self) -> list[str]:
        """Two zones that CloudFormation selects. CDK would look their names up in AWS, and synthesis works offline."""
        return [Fn.select(0, Fn.get_azs()), Fn.select(1, Fn.get_azs())]
