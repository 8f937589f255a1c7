"""Lambda handler of the consume function of a subscriber without a queue.

SNS invokes it asynchronously, with one record. Lambda retries a failed event twice, then sends it to the dead-letter
queue with its reason. An event with a permanent error is not retried.
"""

import os
from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from claim_check import Dereferencer, Disposition, disposition
from consume.consumer import Consumer
from consume_topic.dead_letter import send_to_dead_letters
from consume_topic.settings import Settings
from shared.telemetry import count_stale_replica, counting_errors, logger, metrics, record_delivery_latency

settings = Settings.from_environment(os.environ)
dereferencer = Dereferencer(stores=settings.trusted_stores, on_stale=count_stale_replica)
consumer = Consumer.from_environment(os.environ)
sqs = boto3.client("sqs")


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Process an SNS event."""
    for record in event["Records"]:
        metrics.add_metric(name="ReceivedMessages", unit=MetricUnit.Count, value=1)
        try:
            with counting_errors():
                consumer.consume(dereferencer.message(record), context.get_remaining_time_in_millis)
        except Exception as error:
            # Policies take effect within minutes, which Lambda's retries last.
            if disposition(error, denied=Disposition.RETRY) != Disposition.DEAD_LETTER:
                raise
            send_to_dead_letters(record, error, context=context, queue_url=settings.dead_letter_queue_url, sqs=sqs)
        else:
            if published := record["Sns"].get("Timestamp"):
                record_delivery_latency(datetime.fromisoformat(published))
