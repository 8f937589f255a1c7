"""The function that copies each payload into the data bucket and starts a research pipeline with it.

the subscriber's bus -- Payload processed --> function -> copy in the data bucket -> pipeline
SageMaker -- status of an execution --> the subscriber's bus
"""

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_destinations as destinations
from constructs import Construct

from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.findings import BELOW_A_PREFIX
from stacks.common.function import Function
from stacks.common.grants import allow
from stacks.deployment import FunctionSubscriberConfig
from stacks.deployment.names import ResearchNames
from stacks.subscriber.consumer import Consumer
from stacks.subscriber.event_bus import PROCESSED, SubscriberBus
from stacks.subscriber.landing_bucket import COPY_TIMEOUT
from stacks.subscriber.stack import Subscriber
from start_pipeline.settings import Settings


class PipelineTrigger(Construct):
    """The function, with its reader role and its dead-letter queue.

    Data bucket and pipeline belong to the research stack and are known by name: either stack can be deployed first.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        subscriber: Subscriber[FunctionSubscriberConfig],
        *,
        pipeline: str,
        research: ResearchNames,
        consumer: Consumer,
        bus: SubscriberBus,
    ) -> None:
        super().__init__(scope, id)
        names, defaults = subscriber.names, subscriber.defaults
        self.dead_letters = DeadLetterQueue(
            self,
            "DeadLetterQueue",
            queue_name=names.pipeline_trigger_dead_letter_queue.name,
            retention_days=subscriber.settings.dead_letter_retention_days,
            defaults=defaults,
        )
        if self.dead_letters.key:
            self.dead_letters.key.allow_rules()
        target = research.pipeline(pipeline)
        self.function = Function(
            self,
            "Function",
            function_name=names.pipeline_trigger_function.name,
            role_name=names.pipeline_trigger_role.name,
            package="start_pipeline",
            timeout=COPY_TIMEOUT,
            environment=Settings(
                trusted_stores=names.handoff_stores,
                data_store=research.data_store(pipeline),
                pipeline=target.name,
                event_bus=bus.event_bus_name,
            ).to_environment(),
            on_failure=destinations.SqsDestination(self.dead_letters),
        )
        consumer.grant_read_payloads(self.function.execution_role)
        _grant_put_data_sets(self.function.execution_role, pipeline, research)
        allow(
            self.function.execution_role,
            sid="StartPipeline",
            actions=["sagemaker:StartPipelineExecution"],
            resources=[target.arn],
        )
        bus.grant_put_events_to(self.function.execution_role)
        events.Rule(
            self,
            "ProcessedRule",
            event_bus=bus,
            description=f"Data sets for {target.name}.",
            event_pattern=events.EventPattern(source=[defaults.name], detail_type=[PROCESSED]),
            targets=[targets.LambdaFunction(self.function, dead_letter_queue=self.dead_letters)],
        )
        bus.forward(
            "ExecutionRule",
            alarm="PipelineEventsLost",
            description="Results of the pipeline's executions.",
            pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Building Pipeline Execution Status Change"],
                detail={
                    "pipelineArn": [target.arn],
                    "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
                },
            ),
        )


def _grant_put_data_sets(role: iam.IRole, pipeline: str, research: ResearchNames) -> None:
    """Allow the role to write below the pipeline's prefix of the data bucket, and to use the bucket's key."""
    allow(
        role,
        sid="PutDataSets",
        actions=["s3:PutObject", "s3:AbortMultipartUpload"],
        resources=[f"{research.data_bucket.arn}/{research.data_store(pipeline).prefix}*"],
        wildcards=BELOW_A_PREFIX,
    )
    allow(
        role,
        sid="EncryptDataSets",
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=[research.place.named("kms", "*", "key/").arn],
        conditions={
            "StringEquals": {
                "kms:ViaService": research.via_service,
                "kms:EncryptionContext:aws:s3:arn": research.data_bucket.arn,
            }
        },
        wildcards="The research stack's key: conditions narrow it to the data bucket through S3.",
    )
