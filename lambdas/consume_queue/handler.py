"""Entry point of the consume function of an SQS subscriber."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import ClaimCheckError, Dereferencer, PayloadCorrupt, Store
from consume_queue.dead_letter import send_to_dead_letters
from consume_queue.execution import start_execution
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
state_machine_arn = os.environ["STATE_MACHINE_ARN"]
states = boto3.client("stepfunctions")
dead_letter_queue_url = os.environ["DEAD_LETTER_QUEUE_URL"]
maximum_receives = int(os.environ["MAXIMUM_RECEIVES"])
sqs = boto3.client("sqs")


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """A batch of SQS records; answers with those that failed."""
    fifo = any(record["eventSourceARN"].endswith(".fifo") for record in event["Records"])
    # In a FIFO queue, what follows a failed record in its group must not overtake it.
    processor = SqsFifoPartialProcessor(skip_group_on_error=True) if fifo else BatchProcessor(event_type=EventType.SQS)
    processor.raise_on_entire_batch_failure = False
    return process_partial_response(event, record_handler=consume, processor=processor, context=context)


def consume(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """One record. What it raises makes this record, and no other, visible again after its time-out."""
    logger.append_keys(sqs_message_id=record.message_id, message_id=None)  # not that of the record before
    try:
        hand_on(record, Deadline(lambda_context.get_remaining_time_in_millis))
    except Exception as error:
        metrics.add_metric(name=type(error).__name__, unit=MetricUnit.Count, value=1)
        logger.exception("failed")
        if not is_hopeless(record, error):
            raise
        send_to_dead_letters(record.raw_event, error, queue_url=dead_letter_queue_url, sqs=sqs)


def hand_on(record: SQSRecord, deadline: Deadline) -> None:
    deadline.check()
    message = dereferencer.message(record.raw_event)
    logger.append_keys(message_id=message.id)
    took = Stopwatch()
    handover = take_over(message, staging=staging, staging_s3=staging_s3, meanwhile=deadline.check)
    arn = start_execution(handover, state_machine_arn=state_machine_arn, states=states)
    metrics.add_metric(name="ConsumedBytes", unit=MetricUnit.Bytes, value=handover.bytes)
    metrics.add_metric(name="ProcessingTime", unit=MetricUnit.Milliseconds, value=took.milliseconds())
    metrics.add_metric(
        name="DeliveryLatency", unit=MetricUnit.Milliseconds, value=milliseconds_since(queued_at(record))
    )
    logger.info("handed on", execution=arn, bytes=handover.bytes, sha256=handover.sha256)


def queued_at(record: SQSRecord) -> datetime:
    """When SNS put the message into the queue."""
    return datetime.fromtimestamp(int(record.attributes["SentTimestamp"]) / 1000, tz=UTC)


def is_hopeless(record: SQSRecord, error: Exception) -> bool:
    """Whether to dead-letter the record here and now, with its reason: trying again cannot help, or SQS would move it
    without one next."""
    permanent = isinstance(error, ClaimCheckError) and error.permanent
    return permanent or int(record.attributes.approximate_receive_count or 0) >= maximum_receives
