"""Behind a subscriber of kind `lambda`: an ECS task on Fargate, run once per message, that reads its payload."""

import json

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.common.findings import acknowledge
from stacks.deployment import Deployment, LambdaSubscriberConfig, names
from stacks.deployment.stores import staging_store, trusted_stores
from stacks.subscriber.task_image import TaskImage
from stacks.subscriber.task_network import TaskNetwork


class PayloadTask(Construct):
    """`cluster`, `definition`, `container`, `network`: what it takes to run the task."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: LambdaSubscriberConfig,
    ) -> None:
        super().__init__(scope, id)
        self.network = TaskNetwork(self, "Network", network=subscriber.network, zones=Stack.of(self).availability_zones)
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=self.network.vpc,
            cluster_name=names.cluster(deployment, subscriber),
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )
        image = TaskImage(self, "Image", deployment=deployment, subscriber=subscriber)
        # CDK's own execution role would trust ECS on anybody's behalf.
        execution_role = iam.Role(self, "ExecutionRole", assumed_by=_ecs(subscriber))
        image.grant_pull(execution_role)
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            family=names.cluster(deployment, subscriber),
            cpu=subscriber.task.cpu,
            memory_limit_mib=subscriber.task.memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64, operating_system_family=ecs.OperatingSystemFamily.LINUX
            ),
            task_role=iam.Role(
                self, "Role", role_name=names.task_role(deployment, subscriber), assumed_by=_ecs(subscriber)
            ),
            execution_role=execution_role,
        )
        acknowledge(self.definition, {"AwsSolutions-ECS2": "Names of buckets, and no secret: as plain as the code."})
        self.container = self.definition.add_container(
            "application",
            image=ecs.ContainerImage.from_registry(image.uri),
            command=list(subscriber.task.command) or None,
            environment={
                "TRUSTED_STORES": json.dumps(
                    [*trusted_stores(deployment, subscriber), staging_store(deployment, subscriber)]
                )
            },
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="task",
                log_group=logs.LogGroup(
                    self,
                    "Logs",
                    log_group_name=f"/aws/ecs/{names.cluster(deployment, subscriber)}",
                    removal_policy=RemovalPolicy.DESTROY,
                ),
            ),
        )

    def keep_failures(self, dead_letters: sqs.IQueue) -> events.Rule:
        """A task that stopped and had not succeeded is kept where people look for what failed: its environment, with
        the message's id in it, is all that it takes to run it again. Answers the rule, which has no net of its own."""
        of = {"clusterArn": [self.cluster.cluster_arn], "lastStatus": ["STOPPED"]}
        event = {
            "failed_task": "$.detail.taskArn",
            "stop_code": "$.detail.stopCode",
            "stopped_reason": "$.detail.stoppedReason",
            "containers": "$.detail.containers",
            "overrides": "$.detail.overrides",
        }
        return events.Rule(
            self,
            "FailedRule",
            description="Tasks that ended with an error, or could not be started.",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Task State Change"],
                detail={
                    **of,
                    "$or": [
                        {"containers": {"exitCode": events.Match.anything_but(0)}},
                        {"stopCode": ["TaskFailedToStart"]},
                    ],
                },
            ),
            targets=[
                targets.SqsQueue(
                    dead_letters,
                    message=events.RuleTargetInput.from_object(
                        {name: events.EventField.from_path(path) for name, path in event.items()}
                    ),
                )
            ],
        )


def _ecs(subscriber: LambdaSubscriberConfig) -> iam.ServicePrincipal:
    """ECS, acting for the subscriber's own account."""
    return iam.ServicePrincipal(
        "ecs-tasks.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": subscriber.account}}
    )
