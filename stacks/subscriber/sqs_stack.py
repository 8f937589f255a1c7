"""A subscriber with a queue: topic -> queue -> function -> state machine."""

from aws_cdk import ArnFormat, CfnOutput, Duration
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks import cross_account
from stacks.common.dashboard import traffic_graph
from stacks.common.function import Function
from stacks.common.grants import allow
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
        self.alarms.add_queue_alarm(queue, queue_name=self.names.queue.name, threshold=tries)
        self.alarms.add_function_alarms("Consume", consume)
        self.alarms.add_error_alarms(consume)
        self.alarms.add_execution_alarms(state_machine)
        if landing:
            self.alarms.add_function_alarms("Copy", landing.function)
        if subscriber.pipeline:
            self._intake(deployment, subscriber, bus, subscriber.pipeline)
        self.alarms.add_forwarding_alarms({f"{kind}EventsLost": rule for kind, rule in bus.forwarding.items()})
        self.alarms.add_graph(
            traffic_graph(consume, bytes_metric="ConsumedBytes", time_metrics=["ProcessingTime", "DeliveryLatency"])
        )
        self.alarms.add_dashboard("Receives messages through a queue and starts an execution for each.")
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
            cross_account.deliver(self.publisher_names, queue_arn=queue.queue_arn, queue_region=subscriber.region)
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
        allow(
            consume.execution_role,
            actions=["states:DescribeExecution"],
            resources=[executions],
            wildcards="An execution is named by its message.",
        )

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
        )
        self.grant_read_payloads(intake.function.execution_role)
        self.alarms.add_function_alarms("PipelineTrigger", intake.function, dead_letters=intake.dead_letters)
        self.alarms.add_dead_letter_alarm("PipelineTriggerDeadLetters", intake.dead_letters)
