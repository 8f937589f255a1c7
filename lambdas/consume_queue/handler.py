"""Lambda handler of the consume function of a subscriber with a queue."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
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
from consume.consumer import Consumer
from consume_queue.dead_letter import send_to_dead_letters
from consume_queue.settings import Settings
from shared.telemetry import count_stale_replica, counting_errors, logger, metrics, record_delivery_latency

settings = Settings.from_environment(os.environ)
dereferencer = Dereferencer(stores=settings.trusted_stores, on_stale=count_stale_replica)
consumer = Consumer.from_environment(os.environ)
sqs = boto3.client("sqs")
failures: Counter[str] = Counter()
"""Failures of each message of a FIFO queue in this process, by SQS's id."""
_MAXIMUM_COUNTED = 10_000


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Process a batch of SQS records. Returns the failed records, which SQS delivers again."""
    fifo = any(record["eventSourceARN"].endswith(".fifo") for record in event["Records"])
    # In a FIFO queue, records after a failed record of the same group must wait for its retry.
    processor = SqsFifoPartialProcessor(skip_group_on_error=True) if fifo else BatchProcessor(event_type=EventType.SQS)
    processor.raise_on_entire_batch_failure = False
    shares = _shares(context.get_remaining_time_in_millis, len(event["Records"]))

    def process_record(record: SQSRecord) -> None:
        process(record, next(shares))

    return process_partial_response(event, record_handler=process_record, processor=processor, context=context)


def _shares(remaining_ms: Callable[[], int], records: int) -> Iterator[Callable[[], int]]:
    """Yield each record's share of the invocation's remaining time: a slow record leaves time for those after it."""
    for left in range(records, 0, -1):
        others = remaining_ms() * (left - 1) // left
        yield lambda others=others: remaining_ms() - others  # type: ignore[misc]


def process(record: SQSRecord, remaining_ms: Callable[[], int]) -> None:
    """Process one record. If its error is permanent, or this is its last attempt, dead-letter it with its reason."""
    logger.append_keys(sqs_message_id=record.message_id, message_id=None)  # removes the previous record's id
    try:
        with counting_errors():
            consumer.consume(dereferencer.message(record.raw_event), remaining_ms)
    except Exception as error:
        last = is_last_attempt(record)
        # In a FIFO queue, later messages of the group would overtake a message that waits for a permission.
        denied = Disposition.RETRY if record.event_source_arn.endswith(".fifo") else Disposition.DEAD_LETTER
        if not last and disposition(error, denied=denied) != Disposition.DEAD_LETTER:
            raise
        send_to_dead_letters(record.raw_event, error, queue_url=settings.dead_letter_queue_url, sqs=sqs)
        failures.pop(record.message_id, None)
    else:
        failures.pop(record.message_id, None)
        record_delivery_latency(datetime.fromtimestamp(int(record.attributes["SentTimestamp"]) / 1000, tz=UTC))


def is_last_attempt(record: SQSRecord) -> bool:
    """Return whether the failure of a message was its last attempt.

    In a FIFO queue, messages after a failed one of their group are received and not processed. Their receives are no
    attempts, so failures are counted here. Another process counts anew: then a message has more attempts, until SQS
    moves it after its last receive.
    """
    if not record.event_source_arn.endswith(".fifo"):
        return int(record.attributes.approximate_receive_count or 0) >= settings.maximum_receives
    if len(failures) > _MAXIMUM_COUNTED:
        failures.clear()
    failures[record.message_id] += 1
    return failures[record.message_id] >= settings.maximum_receives
