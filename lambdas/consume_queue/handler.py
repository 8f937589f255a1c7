"""Lambda handler of the consume function of a subscriber with a queue."""

import os
import time
from datetime import UTC, datetime
from typing import Any

import boto3
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

from claim_check import Dereferencer, Disposition, disposition
from consume_queue.dead_letter import send_to_dead_letters
from consume_queue.execution import start_execution
from consume_queue.settings import Settings
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

settings = Settings.from_environment(os.environ)
dereferencer = Dereferencer(stores=settings.trusted_stores, on_stale=count_stale_replica)
staging_s3 = boto3.client("s3", region_name=settings.staging_store.region)
states = boto3.client("stepfunctions")
sqs = boto3.client("sqs")


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Process a batch of SQS records. Returns the failed records, which SQS delivers again."""
    fifo = any(record["eventSourceARN"].endswith(".fifo") for record in event["Records"])
    # In a FIFO queue, records after a failed record of the same group must wait for its retry.
    processor = SqsFifoPartialProcessor(skip_group_on_error=True) if fifo else BatchProcessor(event_type=EventType.SQS)
    processor.raise_on_entire_batch_failure = False
    return process_partial_response(event, record_handler=process, processor=processor, context=context)


def process(record: SQSRecord) -> None:
    """Process one record. If its error is permanent, or this is its last receive, dead-letter it with its reason."""
    logger.append_keys(sqs_message_id=record.message_id, message_id=None)  # removes the previous record's id
    try:
        with counting_errors():
            consume(record)
    except Exception as error:
        last = int(record.attributes.approximate_receive_count or 0) >= settings.maximum_receives
        # In a FIFO queue, later messages of the group would overtake a message that waits for a permission.
        denied = Disposition.RETRY if record.event_source_arn.endswith(".fifo") else Disposition.DEAD_LETTER
        if not last and disposition(error, denied=denied) != Disposition.DEAD_LETTER:
            raise
        send_to_dead_letters(record.raw_event, error, queue_url=settings.dead_letter_queue_url, sqs=sqs)


def consume(record: SQSRecord) -> None:
    """Start an execution with the record's message."""
    message = dereferencer.message(record.raw_event)
    logger.append_keys(message_id=message.id)
    started = time.monotonic()
    handoff = prepare_handoff(message, staging=settings.staging_store, staging_s3=staging_s3)
    arn = start_execution(handoff, state_machine_arn=settings.state_machine_arn, states=states)
    metrics.add_metric(name="ConsumedBytes", unit=MetricUnit.Bytes, value=handoff.bytes)
    record_processing_time(started)
    record_delivery_latency(datetime.fromtimestamp(int(record.attributes["SentTimestamp"]) / 1000, tz=UTC))
    log_handoff(handoff, arn)
