"""Entry point of the consume function of a Lambda subscriber. SNS invokes it asynchronously, one record at a time: what
it raises is tried again twice, then goes to the dead-letter queue with its reason."""

import json
import os
from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Dereferencer, Message, PayloadConflict, PayloadCorrupt, Store
from consume_topic.handed_on import HandedOn, Record
from consume_topic.task import Runner, run_task
from shared.deadline import Deadline
from shared.elapsed import Stopwatch, milliseconds_since
from shared.handoff import take_over

logger = Logger()
metrics = Metrics()


def count_stale(error: PayloadCorrupt) -> None:
    """Replication lags: nothing to act on, the payload is read elsewhere."""
    metrics.add_metric(name="StaleReplica", unit=MetricUnit.Count, value=1)
    logger.warning("a replica has other bytes", problem=str(error))


staging = Store.from_dict(json.loads(os.environ["STAGING_STORE"]))
staging_s3 = boto3.client("s3", region_name=staging.region)
dereferencer = Dereferencer(
    stores=[Store.from_dict(store) for store in json.loads(os.environ["TRUSTED_STORES"])], on_stale=count_stale
)
runner = Runner(
    cluster=os.environ["CLUSTER_ARN"],
    task_definition=os.environ["TASK_DEFINITION_ARN"],
    container=os.environ["CONTAINER"],
    network=json.loads(os.environ["NETWORK"]),
)
ecs = boto3.client("ecs")
handed_on = HandedOn(
    table=os.environ["IDEMPOTENCY_TABLE"],
    seconds=int(os.environ["IDEMPOTENCY_SECONDS"]),
    dynamodb=boto3.client("dynamodb"),
)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """An SNS event."""
    for record in event["Records"]:
        metrics.add_metric(name="ReceivedMessages", unit=MetricUnit.Count, value=1)
        try:
            message = dereferencer.message(record)
            logger.append_keys(message_id=message.id)
            hand_on(message, Deadline(context.get_remaining_time_in_millis))
        except Exception as error:
            metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
            logger.exception("failed")
            raise
        if published := record["Sns"].get("Timestamp"):
            travelled = milliseconds_since(datetime.fromisoformat(published))
            metrics.add_metric(name="DeliveryLatency", unit=MetricUnit.Milliseconds, value=travelled)


def hand_on(message: Message, deadline: Deadline) -> None:
    """Once per message id, for as long as its payload lives."""
    earlier = handed_on.find(message.id)
    if earlier and message.sha256 in (earlier.sha256, None):
        logger.info("handed on before", task=earlier.task)
        return
    if earlier:
        raise PayloadConflict(
            f"another payload, with SHA-256 {earlier.sha256}, was handed on under this message id: give every payload "
            "an id of its own",
            message_id=message.id,
            pointer=message.pointer,
        )
    took = Stopwatch()
    handover = take_over(message, staging=staging, staging_s3=staging_s3, meanwhile=deadline.check)
    task = run_task(handover, runner=runner, ecs=ecs, deadline=deadline)
    handed_on.remember(message.id, Record(handover.sha256, task))
    metrics.add_metric(name="ConsumedBytes", unit=MetricUnit.Bytes, value=handover.bytes)
    metrics.add_metric(name="ProcessingTime", unit=MetricUnit.Milliseconds, value=took.milliseconds())
    logger.info("handed on", task=task, bytes=handover.bytes, sha256=handover.sha256)
