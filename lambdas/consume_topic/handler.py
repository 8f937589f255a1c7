"""Lambda handler of the consume function of a subscriber without a queue.

SNS invokes it asynchronously, with one record. Lambda retries a failed event twice, then sends it to the dead-letter
queue with its reason.
"""

import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Dereferencer, Message
from consume_topic.idempotency import IdempotencyTable
from consume_topic.settings import Settings
from consume_topic.task import Runner, run_task
from shared.handoff import prepare_handoff
from shared.telemetry import (
    count_stale_replica,
    counting_errors,
    log_handoff,
    logger,
    metrics,
    record_delivery_latency,
    record_processing_time,
)

if TYPE_CHECKING:
    from mypy_boto3_ecs.type_defs import AwsVpcConfigurationTypeDef

settings = Settings.from_environment(os.environ)
dereferencer = Dereferencer(stores=settings.trusted_stores, on_stale=count_stale_replica)
staging_s3 = boto3.client("s3", region_name=settings.staging_store.region)
ecs = boto3.client("ecs")
runner = Runner(
    cluster=settings.cluster_arn,
    task_definition=settings.task_definition_arn,
    container=settings.container,
    network=cast("AwsVpcConfigurationTypeDef", settings.network),
    ecs=ecs,
)
idempotency = IdempotencyTable(
    name=settings.idempotency_table, seconds=settings.idempotency_seconds, dynamodb=boto3.client("dynamodb")
)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Process an SNS event."""
    for record in event["Records"]:
        metrics.add_metric(name="ReceivedMessages", unit=MetricUnit.Count, value=1)
        with counting_errors():
            message = dereferencer.message(record)
            logger.append_keys(message_id=message.id)
            consume(message, context.get_remaining_time_in_millis)
        if published := record["Sns"].get("Timestamp"):
            record_delivery_latency(datetime.fromisoformat(published))


def consume(message: Message, remaining_ms: Callable[[], int]) -> None:
    """Run a task with the message, unless a task was started with it before."""
    if task := idempotency.find_task(message):
        logger.info("already handed off", task=task)
        return
    started = time.monotonic()
    handoff = prepare_handoff(message, staging=settings.staging_store, staging_s3=staging_s3)
    task = run_task(handoff, runner=runner, remaining_ms=remaining_ms)
    idempotency.save(handoff, task)
    metrics.add_metric(name="ConsumedBytes", unit=MetricUnit.Bytes, value=handoff.bytes)
    record_processing_time(started)
    log_handoff(handoff, task)
