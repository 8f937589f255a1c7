"""A subscriber with a function subscribed directly: topic -> function -> ECS task."""

import json

from aws_cdk import Duration, Fn
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from stacks.common.dashboard import traffic_graph
from stacks.common.grants import allow, grant_read
from stacks.cross_account import sns_service
from stacks.deployment import Deployment, LambdaSubscriberConfig, names
from stacks.deployment.payload_lifetime import ways_to_be_late
from stacks.subscriber.ecs_task import PayloadTask
from stacks.subscriber.subscriber import FunctionSubscriberStack


class LambdaSubscriberStack(FunctionSubscriberStack):
    """Deployed after the publisher's stack."""

    @property
    def availability_zones(self) -> list[str]:
        """Two, chosen by CloudFormation: CDK would ask AWS for their names, and synth could not work offline."""
        return [Fn.select(0, Fn.get_azs()), Fn.select(1, Fn.get_azs())]

    def __init__(self, scope: Construct, deployment: Deployment, subscriber: LambdaSubscriberConfig) -> None:
        super().__init__(
            scope,
            deployment,
            subscriber,
            description="coatcheck: receives messages of any size in a function, runs an ECS task with each.",
        )
        task = PayloadTask(self, "Task", deployment=deployment, subscriber=subscriber)
        self.grant_read_payloads(task.definition.task_role)
        grant_read(self.staging_bucket, task.definition.task_role, names.INLINE)

        # ECS forgets a client token within a day; a dead letter can be sent back weeks later.
        handed_on = dynamodb.TableV2(
            self,
            "HandedOn",
            table_name=names.idempotency_table(deployment, subscriber),  # so that a stack that comes back finds it
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing=dynamodb.Billing.on_demand(),
            time_to_live_attribute="expiration",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=self.removal_policy,
        )
        consume = self.consume_function(
            "consume_topic",
            environment={
                "CLUSTER_ARN": task.cluster.cluster_arn,
                "TASK_DEFINITION_ARN": task.definition.task_definition_arn,
                "CONTAINER": task.container.container_name,
                "NETWORK": json.dumps(task.network.configuration),
                "IDEMPOTENCY_TABLE": handed_on.table_name,
                "IDEMPOTENCY_SECONDS": str(Duration.days(_longest_known(deployment, subscriber)).to_seconds()),
            },
            reserved_concurrent_executions=subscriber.maximum_concurrency,
            on_failure=destinations.SqsDestination(self.dead_letters),
        )
        handed_on.grant(consume, "dynamodb:GetItem", "dynamodb:PutItem")
        task.definition.grant_run(consume)
        tasks = names.tasks_arn(deployment, subscriber)
        # To know a task again that was run before the stack was changed.
        allow(
            consume.execution_role,
            sid="KnowTasks",
            actions=["ecs:DescribeTasks"],
            resources=[tasks],
            wildcards="A task has no name before it runs.",
        )
        failed_tasks = task.keep_failures(self.dead_letters)

        permission = lambda_.CfnPermission(
            self,
            "InvokeFromTopic",
            action="lambda:InvokeFunction",
            function_name=consume.function_arn,
            principal=sns_service(self.publisher_names, endpoint_region=subscriber.region).service,
            source_arn=names.topic_arn(deployment),
        )
        subscription = self.subscribe(raw=False)
        subscription.node.add_dependency(permission)

        self.alarms.add_function_alarms(
            "Consume",
            consume,
            dead_letters=self.dead_letters,
            throttled_on_purpose=subscriber.maximum_concurrency is not None,
        )
        self.alarms.add_error_alarms(consume)
        self.alarms.add_failed_tasks_alarm(failed_tasks, dead_letters=self.dead_letters)
        self.alarms.add_graph(
            traffic_graph(consume, bytes_metric="ConsumedBytes", time_metrics=["ProcessingTime", "DeliveryLatency"])
        )
        self.alarms.add_dashboard("Receives messages in a function and runs an ECS task for each.")


def _longest_known(deployment: Deployment, subscriber: LambdaSubscriberConfig) -> int:
    """Days after which nothing of a message can come again: its payload is gone, and no station holds it any longer."""
    return max(deployment.publisher.payload_lifetime_days, sum(ways_to_be_late(subscriber).values()))
