"""A subscriber with a queue: topic -> queue -> function -> state machine."""

from aws_cdk import ArnFormat, CfnOutput, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks import cross_account as boundary
from stacks.common.acknowledgement import acknowledge_wildcards
from stacks.common.function import Function
from stacks.deployment import Deployment, SqsSubscriberConfig, names
from stacks.subscriber.event_bus import ApplicationBus
from stacks.subscriber.landing_bucket import Landing
from stacks.subscriber.pipeline_trigger import PipelineTrigger
from stacks.subscriber.state_machine import StateMachine
from stacks.subscriber.subscriber import FunctionSubscriberStack


class SqsSubscriberStack(FunctionSubscriberStack):
    """Deployed after the publisher's stack."""

    def __init__(self, scope: Construct, deployment: Deployment, subscriber: SqsSubscriberConfig) -> None:
        super().__init__(
            scope,
            deployment,
            subscriber,
            description="coatcheck: receives messages of any size through a queue, starts a state machine with each.",
        )
        queue = self._queue(deployment, subscriber)
        # Raw: the queue holds the publisher's own message, attributes included, as any claim-check client reads it.
        subscription = self.subscribe(raw=True)
        subscription.node.add_dependency(queue)

        bus = ApplicationBus(self, "EventBus", deployment=deployment, subscriber=subscriber)
        landing = self._landing(deployment, subscriber)
        state_machine = StateMachine(
            self, "StateMachine", deployment=deployment, subscriber=subscriber, bus=bus, landing=landing
        )
        consume = self.consume_function(
            "consume_queue",
            environment={
                "STATE_MACHINE_ARN": state_machine.state_machine_arn,
                "DEAD_LETTER_QUEUE_URL": self.dead_letters.queue_url,
                "MAXIMUM_RECEIVES": str(subscriber.maximum_receives),
            },
        )
        self._grant_start(consume, state_machine, deployment, subscriber)
        self.dead_letters.grant_send_messages(consume)
        consume.add_event_source(
            event_sources.SqsEventSource(
                queue,
                batch_size=subscriber.batch_size,
                max_concurrency=subscriber.maximum_concurrency,
                report_batch_item_failures=True,
            )
        )
        tries = Duration.seconds(subscriber.maximum_receives * subscriber.visibility_timeout)
        self.operations.watch_queue(queue, late=tries)
        self.operations.watch_function("Consume", consume, asynchronous=False)
        self.operations.watch_refusals(consume)
        self.operations.watch_executions(state_machine)
        if landing:
            self.operations.watch_function("Copy", landing.function, asynchronous=False)
        if subscriber.pipeline:
            self._intake(deployment, subscriber, bus, subscriber.pipeline)
        self.operations.watch_bare_rules({f"{what}EventsLost": rule for what, rule in bus.forwarding.items()})
        self.operations.show_traffic(consume, "ConsumedBytes", ["ProcessingTime", "DeliveryLatency"])
        self.operations.show("Receives messages through a queue and starts an execution with each.")
        CfnOutput(self, "EventBusArn", value=bus.event_bus_arn, description="Where it is told what became of payloads.")
        if landing:
            CfnOutput(
                self,
                "LandingBucketName",
                value=landing.bucket.bucket_name,
                description=f"Its folder {names.LANDED} has the payloads, by message id.",
            )

    def _queue(self, deployment: Deployment, subscriber: SqsSubscriberConfig) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            "Queue",
            queue_name=names.queue(deployment, subscriber),
            fifo=deployment.publisher.fifo or None,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(subscriber.queue_retention_days),
            visibility_timeout=Duration.seconds(subscriber.visibility_timeout),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=subscriber.maximum_receives
            ),
            removal_policy=self.removal_policy,
        )
        queue.add_to_resource_policy(
            boundary.deliver(deployment, queue_arn=queue.queue_arn, queue_region=subscriber.region)
        )
        return queue

    def _grant_start(
        self, consume: Function, state_machine: StateMachine, deployment: Deployment, subscriber: SqsSubscriberConfig
    ) -> None:
        """Start executions, and look at one to tell a repeated message from another payload under the same id."""
        state_machine.grant_start_execution(consume)
        executions = self.format_arn(
            service="states",
            resource="execution",
            resource_name=f"{names.state_machine(deployment, subscriber)}:*",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        consume.add_to_role_policy(iam.PolicyStatement(actions=["states:DescribeExecution"], resources=[executions]))
        acknowledge_wildcards(consume.execution_role, {"An execution is named by its message.": [executions]})

    def _landing(self, deployment: Deployment, subscriber: SqsSubscriberConfig) -> Landing | None:
        if subscriber.landing is None:
            return None
        landing = Landing(
            self,
            "Landing",
            deployment=deployment,
            subscriber=subscriber,
            settings=subscriber.landing,
            staging=self.staging_bucket,
            removal_policy=self.removal_policy,
        )
        self.grant_read_payloads(landing.function.execution_role)
        return landing

    def _intake(
        self, deployment: Deployment, subscriber: SqsSubscriberConfig, bus: ApplicationBus, pipeline: str
    ) -> None:
        research = deployment.research
        assert research, "the deployment file was checked"
        intake = PipelineTrigger(
            self,
            "PipelineTrigger",
            deployment=deployment,
            subscriber=subscriber,
            research=research,
            pipeline=next(each for each in research.pipelines if each.name == pipeline),
            staging=self.staging_bucket,
            bus=bus,
            removal_policy=self.removal_policy,
        )
        self.grant_read_payloads(intake.function.execution_role)
        self.operations.watch_function("PipelineTrigger", intake.function, asynchronous=True)
        self.operations.watch_dead_letters("PipelineTriggerDeadLetters", intake.dead_letters)
