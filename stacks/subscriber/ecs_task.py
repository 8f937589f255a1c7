"""The ECS task that the consume function runs for each message, on Fargate. It reads the message's payload."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.common.container_image import ContainerImage, ImageBuilder, ImageRepository
from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.findings import acknowledge
from stacks.common.grants import grant_pull_from
from stacks.common.service_role import ServiceRole
from stacks.common.stack_key import stack_key
from stacks.deployment.ecs_task import LIBRARY, EcsTaskConfig, NetworkConfig
from stacks.deployment.function_files import code_files
from stacks.deployment.names import SubscriberNames, repository_of
from stacks.deployment.regions import FARGATE_ZONES
from stacks.subscriber.consumer import Consumer

BUILDS_KEPT = 10
_FAILURE = {
    "$or": [
        {"stopCode": [{"anything-but": ["EssentialContainerExited"]}]},
        {"stopCode": [{"exists": False}]},
        {"containers": {"exitCode": [{"anything-but": [0]}]}},
        {"containers": {"exitCode": [{"exists": False}]}},
        # A container can have been killed with exit code 0. (amazon-ecs-agent #2467.)
        {"containers": {"reason": [{"exists": True}]}},
    ]
}
"""Every end of a task except its own, with exit code 0 of its container."""


class EcsTask(Construct):
    """Cluster, network, image, and a task definition with one container."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        names: SubscriberNames,
        task: EcsTaskConfig,
        network: NetworkConfig | None,
        consumer: Consumer,
        defaults: Defaults,
    ) -> None:
        super().__init__(scope, id)
        self._dead_letter_arn = names.dead_letter_queue.arn
        self.network = TaskNetwork(self, "Network", network=network)
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=self.network.vpc,
            cluster_name=names.cluster.name,
            container_insights_v2=ecs.ContainerInsights.ENABLED,
        )
        # Without aws:SourceAccount: it is documented that ECS sends it for the task role only, and no task would start.
        # ECS accepts only a role of the task's account, from a caller with iam:PassRole.
        execution_role = iam.Role(self, "ExecutionRole", assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))
        image = TaskImage(self, "Image", names=names, task=task, defaults=defaults)
        if image.repository_arn:
            grant_pull_from(image.repository_arn, execution_role)
        task_role = ServiceRole(
            self, "Role", service="ecs-tasks", account=names.place.account, role_name=names.task_role.name
        )
        self.definition = ecs.FargateTaskDefinition(
            self,
            "Definition",
            family=names.cluster.name,
            cpu=task.cpu,
            memory_limit_mib=task.memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.ARM64, operating_system_family=ecs.OperatingSystemFamily.LINUX
            ),
            task_role=task_role,
            execution_role=execution_role,
        )
        acknowledge(self.definition, {"AwsSolutions-ECS2": "The environment has names of buckets and no secret."})
        consumer.grant_read_payloads(task_role)
        self.container = self.definition.add_container(
            "application",
            image=ecs.ContainerImage.from_registry(image.uri),
            command=list(task.command) or None,
            environment={"TRUSTED_STORES": json.dumps([store.to_dict() for store in names.handoff_stores])},
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="task",
                log_group=logs.LogGroup(
                    self, "Logs", log_group_name=f"/aws/ecs/{names.cluster.name}", removal_policy=RemovalPolicy.DESTROY
                ),
            ),
        )

    def add_failed_tasks_rule(self, dead_letters: DeadLetterQueue) -> events.Rule:
        """Return a new rule that writes each failed task to the dead-letter queue, as ECS describes it.

        The description has the task's overrides, with the hand-off in the environment: they suffice to run it again.
        """
        # An imported queue gets no statement. CDK's own does not name the rule if the queue has a key.
        target = sqs.Queue.from_queue_arn(self, "DeadLetters", self._dead_letter_arn)
        rule = events.Rule(
            self,
            "FailedRule",
            description="Tasks that ended with an error, or could not be started.",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Task State Change"],
                detail={
                    "clusterArn": [self.cluster.cluster_arn],
                    "lastStatus": ["STOPPED"],
                    **_FAILURE,
                },
            ),
            targets=[targets.SqsQueue(target, message=events.RuleTargetInput.from_event_path("$.detail"))],
        )
        dead_letters.add_to_resource_policy(
            iam.PolicyStatement(
                sid="WriteFailedTasks",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[dead_letters.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.rule_arn}},
            )
        )
        if dead_letters.key:
            dead_letters.key.allow_rules()
        return rule


class TaskNetwork(Construct):
    """Existing subnets, or a small network without NAT.

    `configuration` is the `awsvpcConfiguration` of `ecs:RunTask`.
    """

    def __init__(self, scope: Construct, id: str, *, network: NetworkConfig | None) -> None:
        super().__init__(scope, id)
        self.vpc: ec2.IVpc
        subnets: Sequence[str]
        groups: Sequence[str]
        if network:
            zones = Stack.of(self).availability_zones
            self.vpc = ec2.Vpc.from_vpc_attributes(self, "Vpc", vpc_id=network.vpc_id, availability_zones=zones)
            subnets, groups, public = network.subnet_ids, network.security_group_ids, network.assign_public_ip
        else:
            self.vpc = _small_vpc(self)
            # Without NAT, a task reaches other networks only with a public address. Its security group denies inbound
            # connections.
            subnets, groups, public = [subnet.subnet_id for subnet in self.vpc.public_subnets], (), True
        self.configuration = {
            "subnets": list(subnets),
            "securityGroups": list(groups) or [_outbound_group(self, self.vpc).security_group_id],
            "assignPublicIp": "ENABLED" if public else "DISABLED",
        }


def _small_vpc(scope: Construct) -> ec2.Vpc:
    vpc = ec2.Vpc(
        scope,
        "Vpc",
        nat_gateways=0,
        # CDK would empty the default security group with a function that may change security groups. No resource uses
        # that group.
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False)
        ],
        gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
    )
    # In some Regions, Fargate is not in every zone, and CloudFormation would select any.
    for subnet, zone in zip(vpc.public_subnets, FARGATE_ZONES.get(Stack.of(scope).region, ()), strict=False):
        cfn = subnet.node.default_child
        assert isinstance(cfn, ec2.CfnSubnet)
        cfn.availability_zone, cfn.availability_zone_id = None, zone
    acknowledge(
        vpc, {"AwsSolutions-VPC7": "No inbound connection is allowed. The account's owner decides about flow logs."}
    )
    return vpc


def _outbound_group(scope: Construct, vpc: ec2.IVpc) -> ec2.SecurityGroup:
    description = "All outbound connections, no inbound ones."
    return ec2.SecurityGroup(scope, "SecurityGroup", vpc=vpc, description=description, allow_all_outbound=True)


class TaskImage(Construct):
    """An existing image, or one that is built in the subscriber's account.

    `uri` names it by digest. `repository_arn` is None for an image that is not in ECR.
    """

    def __init__(
        self, scope: Construct, id: str, *, names: SubscriberNames, task: EcsTaskConfig, defaults: Defaults
    ) -> None:
        super().__init__(scope, id)
        if task.image:
            existing = repository_of(task.image)
            self.uri, self.repository_arn = task.image, existing and existing.arn
        else:
            self.uri, self.repository_arn = self._build(names, task, defaults)

    def _build(self, names: SubscriberNames, task: EcsTaskConfig, defaults: Defaults) -> tuple[str, str]:
        """Return the URI of the new image, and the ARN of its repository."""
        repository = ImageRepository(
            self,
            "Repository",
            repository_name=names.task_repository.name,
            key=stack_key(self, defaults),
            lifecycle_rules=[
                ecr.LifecycleRule(description=f"The last {BUILDS_KEPT} builds", max_image_count=BUILDS_KEPT)
            ],
            defaults=defaults,
        )
        assert task.folder
        with with_library(task.folder) as context:
            image = ContainerImage(
                self,
                "Build",
                builder=ImageBuilder(self, "Builder", function_name=names.task_build_function.name),
                repository=repository,
                context=context,
                build_image=codebuild.LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
            )
        acknowledge(image, {"AwsSolutions-CB4": "A build writes an image to ECR, and nothing that CodeBuild encrypts."})
        return image.uri, repository.repository_arn


@contextmanager
def with_library(folder: Path) -> Iterator[Path]:
    """Copy the folder and the package `claim_check` into a temporary build context."""
    with TemporaryDirectory() as context:
        shutil.copytree(folder, context, dirs_exist_ok=True)
        for name, path in code_files(LIBRARY):
            target = Path(context) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield Path(context)
