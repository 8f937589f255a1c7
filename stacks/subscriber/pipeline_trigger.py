"""Behind a subscriber in the research account: each payload becomes a data set, and a research pipeline starts with it.

the subscriber's bus -- Payload processed --> function -> copy in the data bucket -> pipeline
SageMaker -- status of an execution --> the subscriber's bus
"""

import json

from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.dead_letter_queue import DeadLetterQueue
from stacks.common.defaults import Defaults
from stacks.common.findings import BELOW_A_PREFIX, acknowledge_wildcards
from stacks.deployment import Deployment, SqsSubscriberConfig, names
from stacks.deployment.regions import partition
from stacks.deployment.research import PipelineConfig, ResearchConfig
from stacks.deployment.stores import data_set_store
from stacks.subscriber.copying_function import CopyingFunction
from stacks.subscriber.event_bus import PROCESSED, ApplicationBus


class PipelineTrigger(Construct):
    """`function`, which reads as a role of the contract, and `dead_letters` for what it gave up.

    Data bucket and pipeline are the research stack's, known by name: either stack can be deployed first.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        deployment: Deployment,
        subscriber: SqsSubscriberConfig,
        research: ResearchConfig,
        pipeline: PipelineConfig,
        staging: s3.IBucket,
        bus: ApplicationBus,
    ) -> None:
        super().__init__(scope, id)
        self.dead_letters = DeadLetterQueue(
            self,
            "DeadLetters",
            queue_name=names.pipeline_trigger_dead_letter_queue(deployment, subscriber),
            retention_days=subscriber.dead_letter_retention_days,
            defaults=Defaults.of(deployment),
        )
        self.function = CopyingFunction(
            self,
            "PipelineTrigger",
            deployment=deployment,
            subscriber=subscriber,
            staging=staging,
            function_name=names.pipeline_trigger_function(deployment, subscriber),
            role_name=names.pipeline_trigger_role(deployment, subscriber),
            package="start_pipeline",
            environment={
                "DATA_STORE": json.dumps(data_set_store(deployment, research, pipeline)),
                "PIPELINE": names.pipeline(deployment, pipeline),
                "EVENT_BUS": bus.event_bus_name,
            },
            on_failure=destinations.SqsDestination(self.dead_letters),
        )
        self._put_data_sets(deployment, research, pipeline)
        bus.grant_put_events_to(self.function.execution_role)
        events.Rule(
            self,
            "ProcessedRule",
            event_bus=bus,
            description=f"Data sets for {names.pipeline(deployment, pipeline)}.",
            event_pattern=events.EventPattern(source=[deployment.name], detail_type=[PROCESSED]),
            targets=[targets.LambdaFunction(self.function, dead_letter_queue=self.dead_letters)],
        )
        bus.forward(
            "Pipeline",
            "ExecutionRule",
            "What became of the pipeline's executions.",
            events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=["SageMaker Model Building Pipeline Execution Status Change"],
                detail={
                    "pipelineArn": [names.pipeline_arn(deployment, research, pipeline)],
                    "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
                },
            ),
        )

    def _put_data_sets(self, deployment: Deployment, research: ResearchConfig, pipeline: PipelineConfig) -> None:
        """Below one prefix of the data bucket, under its key, and that pipeline."""
        bucket = f"arn:{partition(research.region)}:s3:::{names.data_bucket(deployment, research)}"
        data_sets = f"{bucket}/{names.data_sets(pipeline)}*"
        # The key is the other stack's: narrowed to that bucket, through S3.
        any_key = f"arn:{partition(research.region)}:kms:{research.region}:{research.account}:key/*"
        for statement in (
            iam.PolicyStatement(
                sid="PutDataSets", actions=["s3:PutObject", "s3:AbortMultipartUpload"], resources=[data_sets]
            ),
            iam.PolicyStatement(
                sid="EncryptDataSets",
                actions=["kms:Decrypt", "kms:GenerateDataKey"],
                resources=[any_key],
                conditions={
                    "StringEquals": {
                        "kms:ViaService": names.s3_endpoint(research.region),
                        "kms:EncryptionContext:aws:s3:arn": bucket,
                    }
                },
            ),
            iam.PolicyStatement(
                sid="StartPipeline",
                actions=["sagemaker:StartPipelineExecution"],
                resources=[names.pipeline_arn(deployment, research, pipeline)],
            ),
        ):
            self.function.execution_role.add_to_principal_policy(statement)
        acknowledge_wildcards(
            self.function.execution_role,
            {
                BELOW_A_PREFIX: [data_sets],
                "The research stack's key: conditions narrow it to the data bucket through S3.": [any_key],
            },
        )
